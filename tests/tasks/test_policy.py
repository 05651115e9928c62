"""How often a task is tried again."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import InputError, StoreBusy, StoreUnavailable
from infra import retry_rule
from infra.retry_rule import OUTAGE_S, TRIES
from infra.waiting import outlasting
from tasks.policy import STORE, may_pass


@pytest.mark.parametrize(
    ("error", "begun", "again"),
    [
        (InputError("The file is missing"), 1, False),
        (StoreBusy("The object store is busy"), 1, True),
        (StoreBusy("The object store is busy"), TRIES - 1, True),
        (StoreBusy("The object store is busy"), TRIES, False),
        (StoreUnavailable("The object store does not answer"), 3 * TRIES, True),
    ],
)
def test_what_may_pass_is_tried_again_and_a_store_that_is_away_is_outlasted(error, begun, again):
    failed = SimpleNamespace(result=lambda *, raise_on_failure: error)
    assert may_pass(None, SimpleNamespace(run_count=begun), failed) is again


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
    failed = SimpleNamespace(result=lambda *, raise_on_failure: error)
    begun = next(n for n in range(1, 100) if not may_pass(None, SimpleNamespace(run_count=n), failed))
    assert len(tried) == begun == tries


def test_the_last_retry_of_a_task_is_where_the_rule_ends_an_outage():
    failed = SimpleNamespace(result=lambda *, raise_on_failure: StoreUnavailable("It does not answer"))
    last = STORE["retries"] + 1
    assert may_pass(None, SimpleNamespace(run_count=last - 1), failed)
    assert not may_pass(None, SimpleNamespace(run_count=last), failed)
