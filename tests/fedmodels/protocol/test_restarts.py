"""A session that died is started again, a bounded number of times and ever later."""

import pytest

from fedmodels.protocol.restarts import (
    Restarts,
    after_look,
    code_of_death,
    missed_round,
    restart_after,
    session_fate,
)
from tests.fedmodels.protocol.builders import record


def test_waits_double_and_end():
    assert [restart_after(deaths) for deaths in (1, 2, 3, 4, 5)] == [1.0, 2.0, 4.0, None, None]
    assert restart_after(9, allowed=20) == 30.0
    assert restart_after(1, allowed=0) is None


@pytest.mark.parametrize(
    ("state", "code", "fate"),
    [
        (None, "", "alive"),
        ("RUNNING", "", "alive"),
        ("PENDING", "", "alive"),
        ("COMPLETED", "", "left"),
        ("UNKNOWN", "", "left"),
        ("CRASHED", "", "died"),
        ("FAILED", "", "died"),
        ("FAILED", "store-unavailable", "died"),
        ("FAILED", "disk-full", "died"),
        ("FAILED", "key-mismatch", "refused"),
        ("CANCELLED", "", "cancelled"),
        ("CANCELLING", "", "cancelled"),
    ],
)
def test_what_a_flow_runs_state_asks_for(state, code, fate):
    assert session_fate(state, code) == fate


def looked(fates, *, rounds=None, known=None, every=2.0):
    """What is done at looks that come every two seconds, each of which sees the next fate."""
    known, deeds = known or Restarts(), []
    for number, fate in enumerate(fates):
        known, deed = after_look(known, fate, rounds[number] if rounds else 1, number * every)
        deeds.append(deed)
    return known, deeds


def test_a_session_that_dies_every_time_is_given_up_after_three_restarts():
    _, deeds = looked(["died"] * 12)
    assert deeds == [*("wait", "start", "wait", "start", "wait", "wait", "start"), *["give-up"] * 5]


def test_a_session_that_leaves_is_replaced_at_once_and_one_that_only_leaves_is_given_up():
    """One that was idle leaves once between two rounds."""
    _, deeds = looked(["left", "alive", *["left"] * 12])
    assert deeds[:2] == ["start", "wait"]
    assert (deeds.count("start"), deeds[-1]) == (1 + 3, "give-up")
    _, deeds = looked(["left"] * 4, rounds=[1, 2, 3, 4])
    assert deeds == ["start"] * 4


def test_a_session_that_refused_is_started_once_in_each_later_round():
    _, deeds = looked(["refused"] * 6, rounds=[1, 1, 2, 2, 3, 3])
    assert deeds == ["give-up", "give-up", "start", "give-up", "start", "give-up"]


def test_a_session_that_a_person_cancelled_stays_so():
    _, deeds = looked(["cancelled"] * 3, rounds=[1, 2, 3])
    assert deeds == ["give-up"] * 3


def test_whoever_could_not_reach_the_store_has_died_and_a_full_disk_is_named():
    codes = ("", "store-unavailable", "store-busy", "disk-full")
    assert [code_of_death(code) for code in codes] == [*["session-died"] * 3, "disk-full"]


def test_deaths_are_counted_by_the_round():
    known, _ = looked(["died"] * 12)
    assert after_look(known, "died", 2, 100.0) == (Restarts(2, deaths=1, due=101.0), "wait")


def test_a_round_is_missed_by_whom_nothing_came_from_before_it_was_over():
    assert missed_round([], "a") is None
    late = record(1, accepted="b", refusals={"a": "late"})
    assert missed_round([late], "a") == 1
    assert missed_round([late], "b") is None
    assert missed_round([late, record(2, accepted="b")], "a") == 1, "a round that did not ask it says nothing"
    assert missed_round([late, record(2, accepted="ab")], "a") is None
    sat_out = record(2, accepted="b", refusals={"a": "contract-failed"})
    assert missed_round([late, sat_out], "a") is None
    away = record(2, accepted="b", refusals={"a": "late-after-resume"})
    assert missed_round([late, away], "a") is None
