"""When drift is answered with a training, and the sentence when it is not."""

import pytest
from pydantic import ValidationError

from fedmodels.drift_section import DriftSection
from fedmodels.errors import RunConflict
from fedmodels.protocol.retraining import (
    Facts,
    RetrainingReason,
    RetrainingRequest,
    RunAge,
    check_retraining,
    reason_in_words,
    retraining_tags,
)

SECTION = DriftSection(quorum=2, cool_down=100.0, max_notice_age=50.0)
READY = {"recipe": "tiny", "noticed": frozenset({"a", "b"}), "runs": (RunAge("tiny-1", 100.0, open=False),)}


def test_it_begins_with_a_quorum_after_the_cool_down():
    check_retraining(SECTION, Facts(**READY))
    check_retraining(SECTION, Facts("tiny", frozenset({"a", "b", "c"})))


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"noticed": frozenset({"a"})}, "drift-quorum", "1 party of tiny told of drift in the last 50 s"),
        ({"noticed": frozenset()}, "drift-quorum", "0 parties of tiny"),
        ({"runs": (RunAge("old", 900.0, open=True),)}, "drift-run-open", "The run old of tiny is open"),
        (
            {"runs": (RunAge("old", 900.0, open=False), RunAge("new", 99.4, open=False))},
            "drift-cool-down",
            "The run new of tiny began 99 s ago, and drift.cool_down is 100 s",
        ),
        ({"budget": "epsilon would be 9, above 8"}, "drift-budget", "epsilon would be 9, above 8"),
    ],
)
def test_what_keeps_it_from_beginning_is_one_sentence(change, code, said):
    with pytest.raises(RunConflict) as caught:
        check_retraining(SECTION, Facts(**{**READY, **change}))
    assert caught.value.code == code
    assert said in str(caught.value)


def test_a_recipe_that_watches_no_drift_is_not_trained_again():
    with pytest.raises(RunConflict) as caught:
        check_retraining(DriftSection(enabled=False), Facts(**READY))
    assert caught.value.code == "drift-disabled"


def test_the_reason_is_told_in_words_and_tags():
    reason = RetrainingReason(party="a", features=("text",), notice="parties/a/drift/tiny/x.json")
    assert reason_in_words(reason, ("b", "a")) == "drift at a: text (told by a, b)"
    assert reason_in_words(None, ("a",)) == "drift told by a"
    request = RetrainingRequest(
        recipe="tiny",
        number=3,
        ticket="t",
        run="tiny-3",
        champion_sha256="0" * 64,
        parties=("a", "b"),
        reason="x",
    )
    assert retraining_tags(request) == ["retraining:3", "reason:drift", "drift:a", "drift:b"]


@pytest.mark.parametrize("change", [{"party": "A b"}, {"features": []}, {"features": ["<b>"]}, {"run": "x"}])
def test_a_reason_that_is_none_is_refused(change):
    with pytest.raises(ValidationError):
        RetrainingReason.model_validate({"party": "a", "features": ["text"], "notice": "k", **change})
