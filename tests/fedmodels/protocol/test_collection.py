"""When a collection waits, is complete, or is over; all times in seconds since the announcement."""

import pytest

from fedmodels.protocol.collection import collection_state

COHORT = ("shop-b", "shop-a", "shop-c")
RULES = {"quorum": 2, "round_timeout": 60.0, "grace": 10.0}


def state(arrived, now, **changes):
    return collection_state(COHORT, arrived, now, **(RULES | changes))


@pytest.mark.parametrize(
    ("arrived", "now", "status", "missing", "left"),
    [
        ({}, 0.0, "waiting", ("shop-a", "shop-b", "shop-c"), 60.0),
        ({"shop-a": 5.0}, 20.0, "waiting", ("shop-b", "shop-c"), 40.0),
        ({"shop-a": 5.0, "shop-b": 8.0}, 9.0, "waiting", ("shop-c",), 9.0),
        ({"shop-a": 5.0, "shop-b": 8.0}, 18.0, "over", ("shop-c",), 0.0),
        ({"shop-a": 5.0, "shop-b": 8.0, "shop-c": 17.9}, 17.9, "complete", (), 0.1),
        ({"shop-a": 5.0, "shop-b": 8.0, "shop-c": 19.0}, 19.0, "over", ("shop-c",), 0.0),
        ({"shop-a": 5.0, "shop-b": 58.0}, 59.0, "waiting", ("shop-c",), 1.0),
        ({"shop-a": 5.0, "shop-b": 58.0}, 60.0, "over", ("shop-c",), 0.0),
        ({"shop-a": 5.0}, 60.0, "over", ("shop-b", "shop-c"), 0.0),
        ({}, 60.0, "over", ("shop-a", "shop-b", "shop-c"), 0.0),
        ({"shop-a": 61.0}, 61.0, "over", ("shop-a", "shop-b", "shop-c"), 0.0),
    ],
)
def test_by_hand(arrived, now, status, missing, left):
    found = state(arrived, now)
    assert (found.status, found.missing) == (status, missing)
    assert found.seconds_left == pytest.approx(left)


def test_present_and_missing_make_up_the_cohort():
    found = state({"shop-c": 1.0, "stranger": 1.0}, 2.0)
    assert found.present == ("shop-c",)
    assert sorted(found.present + found.missing) == sorted(COHORT)


def test_a_stranger_makes_no_quorum():
    assert state({"shop-a": 1.0, "stranger": 1.0}, 30.0).status == "waiting"


def test_who_sits_out_has_answered_but_makes_no_quorum():
    arrived = {"shop-a": 1.0, "shop-b": 2.0}
    assert state(arrived, 30.0, sat_out={"shop-b"}).status == "waiting"
    assert state(arrived, 30.0).status == "over"
    assert state(arrived | {"shop-c": 3.0}, 4.0, sat_out={"shop-b"}).status == "complete"


def test_no_grace_closes_at_the_quorum():
    assert state({"shop-a": 1.0, "shop-b": 2.0}, 2.0, grace=0.0).status == "over"


def test_a_coordinator_that_was_away_makes_nobody_late():
    late = {"shop-a": 70.0, "shop-b": 90.0}
    assert state(late, 100.0).present == ()
    back = state(late, 100.0, resumed_at=100.0)
    assert (back.status, back.present, back.seconds_left) == ("waiting", ("shop-a", "shop-b"), 10.0)
    assert state(late, 110.0, resumed_at=100.0).status == "over"
    assert state(late | {"shop-c": 105.0}, 105.0, resumed_at=100.0).status == "complete"


def test_the_grace_of_a_resume_begins_when_sessions_can_answer():
    """They came up a minute after a coordinator whose round was over already; one answers 5 s later."""
    assert state({}, 160.0, resumed_at=100.0).status == "over"
    ready = state({}, 160.0, resumed_at=160.0)
    assert (ready.status, ready.seconds_left) == ("waiting", 10.0)
    assert state({"shop-a": 165.0}, 170.0, resumed_at=160.0).present == ("shop-a",)


def test_a_quick_return_shortens_nothing():
    assert state({}, 30.0, resumed_at=5.0).seconds_left == 30.0


def test_waiting_never_turns_back():
    arrived = {"shop-a": 5.0, "shop-b": 8.0}
    statuses = [state(arrived, float(now)).status for now in range(8, 70)]
    assert statuses == sorted(statuses, key=["waiting", "over"].index)
