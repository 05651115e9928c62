"""When drift is answered with a training, and the sentence when it is not."""

import pytest
from pydantic import ValidationError

from fedmodels.drift_section import DriftSection
from fedmodels.errors import RunConflict
from fedmodels.protocol.drift import SeenNotice
from fedmodels.protocol.retraining import (
    TELL_AGAIN,
    Facts,
    NoBudget,
    RetrainingReason,
    RetrainingRequest,
    RunAge,
    ToldNotice,
    ValidNotice,
    check_retraining,
    reason_in_words,
    retraining_tags,
    to_tell,
)
from flows.recipes import load_recipe
from infra.settings import Schedules

SECTION = DriftSection(quorum=2, cool_down=100.0, max_notice_age=50.0)
READY = {"recipe": "tiny", "noticed": frozenset({"a", "b"}), "runs": (RunAge("tiny-1", 100.0, open=False),)}


def test_it_begins_with_a_quorum_after_the_cool_down():
    check_retraining(SECTION, Facts(**READY))
    check_retraining(SECTION, Facts("tiny", frozenset({"a", "b", "c"}), new_rows=100))


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"noticed": frozenset({"a"})}, "drift-quorum", "1 party of tiny told of drift in the last 50 s"),
        ({"noticed": frozenset()}, "drift-quorum", "0 parties of tiny"),
        ({"runs": (RunAge("old", 900.0, open=True),)}, "drift-run-open", "The run old of tiny is open"),
        (
            {"runs": (RunAge("now", 9.0, open=True), RunAge("old", 900.0, open=True, conducted=False))},
            "drift-run-stopped",
            "The run old of tiny has been open for 900 s and nobody conducts it any more, so the drift that "
            "a, b told of starts no retraining; go on with fedcart train --resume old, or end it with "
            "fedcart runs cancel old; drift that lasts is told again after that.",
        ),
        (
            {"retrained": RunAge("new", 99.4, open=False)},
            "drift-cool-down",
            "The retraining new of tiny began 99 s ago, and drift.cool_down is 100 s",
        ),
        (
            {"new_rows": 99},
            "drift-nothing-new",
            "The parties of tiny that told of drift have 99 labelled rows that the champion has not met, and "
            "drift.min_new_rows is 100: there is nothing new to learn; label fresh rows, or train by hand",
        ),
        ({"budget": "epsilon would be 9, above 8"}, "drift-budget", "epsilon would be 9, above 8"),
    ],
)
def test_what_keeps_it_from_beginning_is_one_sentence(change, code, said):
    with pytest.raises(RunConflict) as caught:
        check_retraining(SECTION, Facts(**{**READY, **change}))
    assert caught.value.code == code
    assert said in str(caught.value)


HOUR = 3600.0


@pytest.mark.parametrize("hour", range(24))
def test_with_what_is_shipped_a_retraining_may_begin_in_every_hour_of_a_day(hour):
    """A training every night (infra/settings.py) and a cool-down of a day (recipes/reviews.yaml)."""
    shipped = load_recipe("reviews").drift
    assert shipped.cool_down == DriftSection().cool_down == 24 * HOUR
    assert Schedules().training == "0 2 * * *"
    nights = [
        RunAge(f"night-{day}", (hour - 2) % 24 * HOUR + day * 24 * HOUR, open=False) for day in range(3)
    ]
    check_retraining(shipped, Facts("reviews", frozenset({"camera-shop"}), tuple(nights)))


def test_a_recipe_that_watches_no_drift_is_not_trained_again():
    with pytest.raises(RunConflict) as caught:
        check_retraining(DriftSection(enabled=False), Facts(**READY))
    assert caught.value.code == "drift-disabled"


def valid(key, party="a", age=10.0):
    return ValidNotice(SeenNotice(key=key, party=party, recipe="tiny"), age)


def keys(unanswered, told, *, allowed):
    last = {party: (ToldNotice(key=key), since) for party, (key, since) in told.items()}
    return [seen.key for seen in to_tell(unanswered, last, allowed=allowed)]


@pytest.mark.parametrize("allowed", [False, True])
def test_of_each_party_the_youngest_new_notice_is_told_at_once(allowed):
    many = [valid("old", age=30.0), valid("new", age=20.0), valid("other", "b", 99.0)]
    assert keys(many, {}, allowed=allowed) == ["new", "other"]
    assert keys(many, {"a": ("old", 1.0), "b": ("other", 1.0)}, allowed=allowed) == ["new"]
    assert keys([], {"a": ("old", 1e6)}, allowed=allowed) == []


@pytest.mark.parametrize(
    ("since", "allowed", "told"),
    [
        (TELL_AGAIN, True, ["new"]),
        (TELL_AGAIN - 1, True, []),
        (TELL_AGAIN, False, []),
    ],
)
def test_what_was_told_is_told_again_after_a_while_when_no_rule_forbids_it(since, allowed, told):
    assert keys([valid("new"), valid("old", age=20.0)], {"a": ("new", since)}, allowed=allowed) == told


def test_of_each_run_that_stopped_it_is_told_once():
    last = {"a": (ToldNotice(key="new", stopped="one"), 1.0)}
    told = {
        stopped: to_tell([valid("new")], last, allowed=False, stopped=stopped) for stopped in ("one", "two")
    }
    assert (told["one"], [seen.key for seen in told["two"]]) == ((), ["new"])


def test_no_budget_forbids_nothing():
    assert NoBudget().forbids(None) == ""


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


def test_of_very_many_features_a_reason_names_the_first_ones():
    features = tuple(f"{'spalte größe €' * 4} {number}"[-64:] for number in range(100))
    said = reason_in_words(RetrainingReason(party="a", features=features, notice="k"), ("a",))
    assert said.endswith(f"{features[11]} and 88 more (told by a)")
    assert len(said) < 2000


def test_of_very_many_parties_a_reason_names_the_first_ones():
    parties = [f"{'shop-' * 5}{number:03}" for number in range(60)]
    said = reason_in_words(None, parties)
    assert said.endswith(f"{parties[11]} … and 48 more")
    features = tuple(f"{'f' * 60} {number}" for number in range(100))
    given = RetrainingReason(party=parties[0], features=features, notice="k")
    RetrainingRequest(
        recipe="tiny",
        number=3,
        ticket="t",
        run="tiny-3",
        champion_sha256="0" * 64,
        parties=tuple(parties),
        reason=reason_in_words(given, parties),
    )


@pytest.mark.parametrize("change", [{"party": "A b"}, {"features": []}, {"features": ["a\nb"]}, {"run": "x"}])
def test_a_reason_that_is_none_is_refused(change):
    with pytest.raises(ValidationError):
        RetrainingReason.model_validate({"party": "a", "features": ["text"], "notice": "k", **change})
