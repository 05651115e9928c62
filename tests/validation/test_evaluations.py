"""A correct evaluation is opened; anything else is an abstention, and raises nothing."""

import hashlib

import pytest

from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Evaluation, Metrics, Signed
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
