"""A notice counts only as its party's own word, in its place, in time, and about the champion."""

import json

import pytest

from fedmodels.errors import UpdateRefused
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.drift import (
    MOST_SCORES,
    NOTICE_LIMIT,
    DriftNotice,
    DriftScore,
    SeenNotice,
    check_timely,
    open_notice,
)
from fedmodels.protocol.messages import Signed

MODEL = "a" * 64
NOTICE = DriftNotice(
    party="shop-a",
    recipe="tiny",
    model_sha256=MODEL,
    reference="b" * 64,
    window="c" * 64,
    rows=300,
    scores=tuple(
        DriftScore(feature=feature, measure=measure, effect=0.3, bound=0.1, p_value=0.001)
        for feature, measure in (
            ("text", "out_of_vocabulary"),
            ("text", "length_ks"),
            ("embedding", "embedding"),
        )
    ),
)
PAYLOAD = canonical_json(NOTICE)
PLACE = ("tiny", sha256_hex(PAYLOAD))


def enveloped(payload=PAYLOAD, signature="good") -> bytes:
    return canonical_json(Signed(payload=payload.decode(), signature=signature))


def verify(_payload, signature):
    return signature == "good"


def code_of(call, *arguments) -> str:
    with pytest.raises(UpdateRefused) as caught:
        call(*arguments)
    assert "0.3" not in str(caught.value)
    return caught.value.code


def test_a_partys_own_notice_is_read():
    notice = open_notice(enveloped(), "shop-a", PLACE, verify)
    assert notice == NOTICE
    assert notice.features == ("embedding", "text")
    check_timely(notice, 59.0, MODEL, 60.0)


@pytest.mark.parametrize(
    ("envelope", "party", "place", "key", "code"),
    [
        (enveloped(), "shop-a", PLACE, None, "drift-party-unknown"),
        (b"{", "shop-a", PLACE, verify, "drift-notice-invalid"),
        (enveloped() + b" " * NOTICE_LIMIT, "shop-a", PLACE, verify, "drift-notice-invalid"),
        (enveloped(b'{"party":"shop-a"}'), "shop-a", PLACE, verify, "drift-notice-invalid"),
        (enveloped(signature="forged"), "shop-a", PLACE, verify, "drift-signature"),
        (enveloped(), "shop-b", PLACE, verify, "drift-notice-misplaced"),
        (enveloped(), "shop-a", ("other", PLACE[1]), verify, "drift-notice-misplaced"),
        (enveloped(), "shop-a", ("tiny", "0" * 64), verify, "drift-notice-misplaced"),
    ],
)
def test_what_is_not_is_refused_with_a_code(envelope, party, place, key, code):
    assert code_of(open_notice, envelope, party, place, key) == code


@pytest.mark.parametrize(
    "change",
    [
        {"rows": -1},
        {"scores": []},
        {"values": [1]},
    ]
    + [
        {"scores": [{**json.loads(PAYLOAD)["scores"][0], "feature": name}]}
        for name in ("", "two\nlines", "a\x00b", "\u202eback", "\u200bunseen", "x" * 65)
    ]
    + [
        {"scores": [json.loads(PAYLOAD)["scores"][0]] * 101},
    ],
)
def test_a_signed_notice_beyond_its_bounds_is_none(change):
    payload = canonical_json({**json.loads(PAYLOAD), **change})
    place = ("tiny", sha256_hex(payload))
    assert code_of(open_notice, enveloped(payload), "shop-a", place, verify) == "drift-notice-invalid"


def test_a_notice_of_the_longest_names_is_within_the_limit():
    score = NOTICE.scores[0].model_copy(update={"effect": 123.45678901234567, "p_value": 0.00012345678901234})
    for letter in ("\\", '"', "\U0001f6d2"):
        scores = [score.model_copy(update={"feature": letter * 64}).model_dump()] * MOST_SCORES
        payload = canonical_json(DriftNotice.model_validate({**NOTICE.model_dump(), "scores": scores}))
        opened = open_notice(enveloped(payload), "shop-a", ("tiny", sha256_hex(payload)), verify)
        assert opened.features == (letter * 64,)


@pytest.mark.parametrize(
    ("age", "champion", "code"),
    [
        (61.0, MODEL, "drift-notice-late"),
        (1.0, "d" * 64, "drift-notice-outdated"),
        (1.0, None, "drift-notice-outdated"),
    ],
)
def test_a_notice_that_is_late_or_of_another_model_is_refused(age, champion, code):
    assert code_of(check_timely, NOTICE, age, champion, 60.0) == code


def test_what_was_noted_is_valid_without_a_code():
    assert SeenNotice(key="k", party="shop-a", recipe="tiny").valid
    assert not SeenNotice(key="k", party="shop-a", code="drift-signature").valid
