"""A correct evaluation is opened; anything else is an abstention, and raises nothing."""

import hashlib

import pytest

from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import (
    ChampionScore,
    Evaluation,
    Metrics,
    PartyRow,
    Signed,
    StandingChampion,
)
from tests.fedmodels.protocol.builders import BASE, candidate
from validation.admission import RECEIPT_LIMIT
from validation.evaluations import open_evaluation

SCORES = Metrics(accuracy=0.7, macro_f1=0.7, loss=0.5, num_examples=100)
GOOD = Evaluation(run="r", round=1, party="a", model_sha256=candidate().model_sha256, metrics=SCORES)


def sign(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def verify(payload: bytes, signature: str) -> bool:
    return sign(payload) == signature


def signed(payload: bytes) -> bytes:
    return canonical_json(Signed(payload=payload.decode(), signature=sign(payload)))


def envelope_of(**changes: object) -> bytes:
    return signed(canonical_json(GOOD.model_copy(update=changes)))


def test_a_correct_evaluation_and_an_abstention_are_opened():
    assert open_evaluation(envelope_of(), candidate(), "a", verify) == GOOD
    silent = open_evaluation(envelope_of(metrics=None, reason="no rows"), candidate(), "a", verify)
    assert silent is not None
    assert silent.metrics is None


CHAMPION = StandingChampion(run="before", model_sha256="c" * 64)
ASKED = candidate().model_copy(update={"champion": CHAMPION})
SCORE = ChampionScore(model_sha256=CHAMPION.model_sha256, metrics=SCORES)


def test_scores_of_the_champion_that_was_named_are_opened():
    found = open_evaluation(envelope_of(champion=SCORE), ASKED, "a", verify)
    assert found is not None
    assert found.champion == SCORE
    assert open_evaluation(envelope_of(), ASKED, "a", verify) == GOOD, "a party need not have any"
    without = SCORE.model_copy(update={"metrics": None, "reason": "gone"})
    assert open_evaluation(envelope_of(champion=without), ASKED, "a", verify) is not None
    assert open_evaluation(envelope_of(champion=without, metrics=None), ASKED, "a", verify) is not None


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"champion": SCORE}, candidate()),
        ({"champion": SCORE.model_copy(update={"model_sha256": BASE})}, ASKED),
        ({"champion": SCORE, "metrics": SCORES.model_copy(update={"num_examples": 99})}, ASKED),
        ({"champion": SCORE, "metrics": None}, ASKED),
    ],
    ids=["nobody asked", "another champion", "other rows", "no rows"],
)
def test_scores_of_another_champion_or_of_other_rows_are_an_abstention(changes, asked):
    assert open_evaluation(envelope_of(**changes), asked, "a", verify) is None


def test_messages_of_before_there_were_champions_keep_their_bytes():
    for message in (candidate(), GOOD, PartyRow(metrics=SCORES)):
        assert b"champion" not in canonical_json(message)


BAD = {
    "no JSON": b"\x80\x04pickle",
    "too large": b" " * RECEIPT_LIMIT + envelope_of(),
    "no evaluation": signed(b"{}"),
    "not finite": signed(canonical_json(GOOD).replace(b'"loss":0.5', b'"loss":Infinity')),
    "signature": canonical_json(Signed(payload=canonical_json(GOOD).decode(), signature="")),
    "another run": envelope_of(run="s"),
    "another round": envelope_of(round=2),
    "another party": envelope_of(party="b"),
    "another model": envelope_of(model_sha256=BASE),
    "endless time": envelope_of(compute=((1e308, 0.0),)),
    "endless bytes": envelope_of(bytes_down=2**50 + 1),
}


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_an_abstention(case):
    assert open_evaluation(BAD[case], candidate(), "a", verify) is None
