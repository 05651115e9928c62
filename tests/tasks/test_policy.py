"""How often a task is tried again."""

from types import SimpleNamespace
from uuid import uuid4

import pytest

from fedmodels.errors import InputError, StoreBusy, StoreUnavailable
from infra import retry_rule
from infra.retry_rule import OUTAGE_S, TRIES, most_retries
from infra.waiting import outlasting
from tasks.policy import STORE, may_pass

AWAY = StoreUnavailable("The object store does not answer")
BUSY = StoreBusy("The object store is busy")
WRONG = InputError("The file is missing")
CASES = {
    "wrong": ([WRONG], 1),
    "busy, then there": ([BUSY] * 5, None),
    "busy for too long": ([BUSY] * 6, 6),
    "away, then there": ([AWAY] * 20, None),
    "one busy answer after an outage": ([AWAY] * 20 + [BUSY], None),
    "busy for five tries after an outage": ([AWAY] * 20 + [BUSY] * 5, None),
    "busy for too long after an outage": ([AWAY] * 20 + [BUSY] * 6, 26),
    "away in between": ([BUSY] * 5 + [AWAY] + [BUSY] * 5, None),
    "wrong after an outage": ([AWAY] * 20 + [WRONG], 21),
}
"""What each try ends with, until one succeeds; and the try that is the last one, if none does."""


class TaskRun:
    """One that Prefect tries: it asks after each failure whether it may try again."""

    def __init__(self) -> None:
        self.id, self.run_count = uuid4(), 0

    def fails(self, error: Exception | None) -> bool:
        self.run_count += 1
        return may_pass(None, self, SimpleNamespace(result=lambda *, raise_on_failure: error))


def given_up(errors, fails) -> int | None:
    """The number of the failure after which there is no further try."""
    return next((number for number, error in enumerate(errors, 1) if not fails(error)), None)


@pytest.mark.parametrize(("errors", "last"), CASES.values(), ids=CASES.keys())
def test_a_task_outlasts_a_store_that_is_away_and_tries_a_busy_one_six_times(errors, last):
    assert given_up(errors, TaskRun().fails) == last
    assert last is not None or len(errors) <= STORE["retries"]


@pytest.mark.parametrize(("errors", "last"), CASES.values(), ids=CASES.keys())
def test_so_does_a_read_outside_a_task(errors, last):
    tried, left = [], iter(errors)

    def read() -> str:
        tried.append(1)
        if error := next(left, None):
            raise error
        return "here"

    again = outlasting(read)
    again.retry.sleep = lambda _seconds: None
    if last is None:
        assert again() == "here"
        assert len(tried) == len(errors) + 1
    else:
        with pytest.raises(type(errors[last - 1])):
            again()
        assert len(tried) == last


def test_task_runs_that_are_tried_side_by_side_are_counted_apart():
    one, other = TaskRun(), TaskRun()
    assert all(run.fails(BUSY) for _ in range(5) for run in (one, other))
    assert not one.fails(BUSY)
    assert other.fails(AWAY)
    assert all(other.fails(BUSY) for _ in range(5))


def test_two_calls_of_one_read_are_counted_apart():
    left = iter([BUSY] * 5 + [None] + [BUSY] * 5)

    def read() -> str:
        if error := next(left, None):
            raise error
        return "here"

    again = outlasting(read)
    again.retry.sleep = lambda _seconds: None
    assert [again(), again()] == ["here", "here"]


def test_the_retries_last_as_long_as_an_outage():
    waits = STORE["retry_delay_seconds"]
    assert sum(waits) + (STORE["retries"] - len(waits)) * waits[-1] >= OUTAGE_S


@pytest.mark.parametrize("tries", [2, TRIES])
def test_a_task_and_a_read_outside_one_give_up_after_as_many_tries(monkeypatch, tries):
    monkeypatch.setattr(retry_rule, "TRIES", tries)
    error, tried = StoreBusy("The object store is busy"), []

    def busy() -> None:
        tried.append(1)
        raise error

    read = outlasting(busy)
    read.retry.sleep = lambda _seconds: None
    with pytest.raises(StoreBusy):
        read()
    assert len(tried) == given_up([error] * 100, TaskRun().fails) == tries


def test_an_outage_ends_where_the_rule_says_and_leaves_tries_for_a_store_that_is_busy_then():
    last = given_up([AWAY] * 100, TaskRun().fails)
    assert last == most_retries() + 1
    assert given_up([AWAY] * (last - 1) + [BUSY] * 5, TaskRun().fails) is None
    assert STORE["retries"] >= last - 1 + 5
