"""Which runs' models may go: a run that something speaks for stays, whatever `--keep` says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmodels.errors import InputError
from fedmodels.protocol.pruning import (
    JUST_CLOSED,
    OPEN,
    OVER,
    PLAN_UNKNOWN,
    Keep,
    RunFacts,
    is_over,
    parse_keep,
    why_kept,
)

HOUR, DAY = 3600.0, 86_400.0


def closed(run, days, **facts):
    return RunFacts(run, **{"recipe": "r", "closed": days * DAY, "finished": True, **facts})


def going(facts, text, recipe=None):
    return {run for run, why in why_kept(facts, parse_keep(text), recipe).items() if why is None}


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("0", Keep("0", runs=0)),
        ("3", Keep("3", runs=3)),
        ("003", Keep("3", runs=3)),
        ("14d", Keep("14d", seconds=14 * DAY)),
        ("1.5h", Keep("1.5h", seconds=5400.0)),
        ("1h", Keep("1h", seconds=HOUR)),
    ],
)
def test_a_number_of_runs_or_an_age(text, keep):
    assert parse_keep(text) == keep


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *((text, "keep-invalid") for text in ("-1", "", "all", "3 ", "1e3", "-2d", "٣", "99999999999", "d")),
        *((text, "bound-too-short") for text in ("0d", "59m", "0.5h")),
        ("3y", "duration-invalid"),
    ],
)
def test_what_keeps_nothing_that_anybody_could_mean_is_refused(text, code):
    with pytest.raises(InputError) as caught:
        parse_keep(text)
    assert caught.value.code == code


def test_the_newest_of_each_recipe_stay():
    facts = [closed("a", 1), closed("b", 2), closed("c", 3), closed("d", 9, recipe="other")]
    assert going(facts, "2") == {"c"}
    assert going(facts, "1") == {"b", "c"}
    assert going(facts, "0") == {"a", "b", "c", "d"}
    assert why_kept(facts, parse_keep("2"))["a"] == "it is one of the 2 newest of its recipe"


def test_those_that_were_closed_within_the_age_stay():
    facts = [closed("a", 1), closed("b", 14), closed("c", 3), closed("d", 15, recipe="other")]
    assert going(facts, "14d") == {"b", "d"}
    assert why_kept(facts, parse_keep("14d"))["a"] == "it was closed within 14d"


def test_runs_that_failed_do_not_push_out_those_that_finished():
    """Whoever keeps two has two models to go back to, and two failures to look into."""
    failed = [closed(f"failed-{days}", days, finished=False) for days in (1, 2, 3)]
    facts = [*failed, closed("first", 4), closed("second", 5), closed("third", 6)]
    assert going(facts, "2") == {"failed-3", "third"}


def test_a_run_with_a_release_takes_no_place_of_the_newest():
    assert going([closed("a", 1, release="champion"), closed("b", 2), closed("c", 3)], "1") == {"c"}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (RunFacts("a"), OPEN),
        (RunFacts("a", "r"), OPEN),
        (RunFacts("a", "r", release="ready"), OPEN),
        (RunFacts("a", None, 9 * DAY), PLAN_UNKNOWN),
        (RunFacts("a", "r", 9 * DAY, release="awaiting approval"), "it has a release: awaiting approval"),
        (RunFacts("a", "r", HOUR - 1, True), JUST_CLOSED),
        (RunFacts("a", "r", HOUR, True), None),
        (RunFacts("a", "r", 9 * DAY), None),
    ],
)
def test_what_speaks_for_a_run_when_nothing_is_to_be_kept(facts, why):
    assert why_kept([facts], parse_keep("0")) == {"a": why}


def test_runs_of_another_recipe_stay():
    facts = [closed("a", 5), closed("b", 5, recipe="other")]
    assert going(facts, "0", "r") == {"a"}
    assert why_kept(facts, parse_keep("0"), "r")["b"] == "its recipe is not r"


RUNS = st.lists(
    st.builds(
        RunFacts,
        run=st.integers(0, 10**6).map(str),
        recipe=st.sampled_from(["r", "s", None]),
        closed=st.none() | st.floats(0, 100 * DAY),
        finished=st.booleans(),
        release=st.none() | st.sampled_from(["champion", "ready", "outdated"]),
    ),
    max_size=12,
    unique_by=lambda each: each.run,
)
COUNTS = st.integers(0, 13)


@given(RUNS, COUNTS, st.none() | st.sampled_from(["r", "s"]))
def test_only_a_closed_run_without_a_release_ever_goes(facts, count, recipe):
    gone = going(facts, str(count), recipe)
    for each in facts:
        if each.run in gone:
            assert each.closed is not None
            assert each.closed >= HOUR
            assert each.release is None
            assert each.recipe in ({recipe} if recipe else {"r", "s"})


@given(RUNS, COUNTS)
def test_whoever_keeps_more_loses_no_more(facts, count):
    assert going(facts, str(count + 1)) <= going(facts, str(count))
    assert going(facts, f"{count + 2}d") <= going(facts, f"{count + 1}d")


@given(RUNS, COUNTS)
def test_so_many_of_each_recipe_stay_as_there_are(facts, count):
    gone = going(facts, str(count))
    for recipe in ("r", "s"):
        spare = [r for r in facts if r.recipe == recipe and r.closed is not None and r.release is None]
        assert len([r for r in spare if r.run not in gone]) >= min(count, len(spare))
        finished = [r for r in spare if r.finished]
        assert len([r for r in finished if r.run not in gone]) >= min(count, len(finished))


@given(RUNS, COUNTS)
def test_who_was_pruned_before_changes_nothing(facts, count):
    """The runs stay in the bucket, so the same ones go again: a prune that died is gone on with."""
    gone = going(facts, str(count))
    assert going(list(reversed(facts)), str(count)) == gone


def test_a_release_is_over_where_nothing_can_promote_it_any_more():
    for standing in OVER:
        assert is_over(standing, documented=False, answered=True)
        assert not is_over(standing, documented=True, answered=True), "its lineage record needs it"
    assert is_over("cannot be promoted", documented=False, answered=False, withdrawn=True)
    assert not is_over("deadline passed", documented=False, answered=False), "a form may wait to be read"
    assert is_over("ready", documented=False, answered=True, withdrawn=True)
    assert not is_over("ready", documented=True, answered=True, withdrawn=True)
    assert not is_over("awaiting approval", documented=False, answered=False, withdrawn=True), "reject it"
    for standing in (
        "champion",
        "champion before",
        "ready",
        "awaiting approval",
        "outdated",
        "no report yet",
    ):
        assert not is_over(standing, documented=False, answered=True)
