"""How often a task is tried again."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import InputError, StoreBusy, StoreUnavailable
from infra.waiting import OUTAGE_S, TRIES
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
