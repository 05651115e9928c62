"""Waiting ends with the condition or with the deadline, never later by much, never without a look."""

import math
import time

import pytest

from fedmodels.errors import StoreBusy, StoreRefused, StoreUnavailable
from infra.retry_rule import OUTAGE_S, TRIES
from infra.waiting import outlasting, patient, wait_answered, wait_for


@pytest.fixture
def clock(stopped_clock):
    return stopped_clock("infra.waiting")


def test_a_condition_that_holds_is_returned_at_once():
    assert wait_for(lambda: "here", timeout=0.0) == "here"


def test_it_looks_until_the_condition_holds():
    looks = iter([None, None, 3])
    assert wait_for(lambda: next(looks), timeout=5.0, first_wait=0.001) == 3


def test_the_deadline_ends_it():
    begin = time.monotonic()
    assert wait_for(lambda: None, timeout=0.2, first_wait=0.01) is None
    assert 0.2 <= time.monotonic() - begin < 2.0


def unavailable(times: int):
    """A look that fails so many times before it finds something."""
    left = iter(range(times))

    def look(found: str = "here") -> str:
        if next(left, None) is not None:
            raise StoreUnavailable("The line is lost")
        return found

    return look


def test_a_store_that_does_not_answer_is_looked_at_again():
    assert wait_for(patient(unavailable(2)), timeout=5.0, first_wait=0.001) == "here"


def test_only_what_may_pass_is_waited_out():
    def refused() -> None:
        raise StoreRefused("The door is closed")

    for look in (patient(refused), outlasting(refused)):
        with pytest.raises(StoreRefused):
            look()


@pytest.mark.parametrize("times", [0, 1, TRIES - 1])
def test_a_read_is_tried_again(times):
    read = outlasting(unavailable(times))
    read.retry.sleep = lambda seconds: None
    assert read("there") == "there"


def test_a_store_that_is_away_is_outlasted_for_ten_minutes(monkeypatch):
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("time.monotonic", lambda: now)
    read = outlasting(unavailable(10**6))
    read.retry.sleep = sleep
    with pytest.raises(StoreUnavailable):
        read()
    assert OUTAGE_S <= now <= OUTAGE_S + 20.0

    read = outlasting(unavailable(3 * TRIES))
    read.retry.sleep = sleep
    assert read("there") == "there"


def test_a_store_that_is_busy_is_asked_for_half_a_minute_and_no_longer():
    tried: list[int] = []
    waits: list[float] = []

    def busy() -> None:
        tried.append(1)
        raise StoreBusy("The object store is busy")

    read = outlasting(busy)
    read.retry.sleep = waits.append
    with pytest.raises(StoreBusy):
        read()
    assert len(tried) == TRIES == len(waits) + 1
    assert 31.0 <= sum(waits) <= 40.0


@pytest.mark.parametrize(
    ("away", "there", "found", "ended"),
    [
        ((), 50.0, "here", 50.0),
        ((), math.inf, None, 100.0),
        ((10.0, 190.0), 250.0, "here", 250.0),
        ((10.0, 190.0), math.inf, None, 280.0),
    ],
    ids=["found in time", "not found", "found in time after an outage", "not found, nor after an outage"],
)
def test_time_in_which_the_store_is_away_counts_for_nobody(clock, away, there, found, ended):
    def look():
        if away and away[0] <= clock.now < away[1]:
            raise StoreUnavailable("The line is lost")
        return "here" if clock.now >= there else None

    assert wait_answered(look, timeout=100.0) == found
    assert ended <= clock.now <= ended + 2.0


@pytest.mark.parametrize(("begins", "ended"), [(0.0, 0.0), (30.0, 30.0 + OUTAGE_S)])
def test_a_store_that_stays_away_is_told_by_the_first_look_or_after_an_outage(clock, begins, ended):
    def look():
        if clock.now >= begins:
            raise StoreUnavailable("The line is lost")

    with pytest.raises(StoreUnavailable):
        wait_answered(look, timeout=100.0)
    assert ended - 1.0 <= clock.now <= ended + 1.0


def test_a_store_that_is_busy_is_there_and_time_counts(clock):
    def busy():
        raise StoreBusy("It is busy")

    assert wait_answered(busy, timeout=100.0) is None
    assert 100.0 <= clock.now <= 102.0


def test_a_store_that_hangs_before_it_answers_was_silent(clock):
    """As a client that waits for a line that came back: no time in which anybody could have answered."""
    hangs = iter([0.0, 180.0])

    def look():
        clock.now += next(hangs, 0.0)

    assert wait_answered(look, timeout=100.0) is None
    assert 270.0 <= clock.now <= 280.0
