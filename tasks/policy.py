"""What Prefect does with a task, said once: retries where a retry is right, nothing persisted."""

from typing import TYPE_CHECKING, Any, TypedDict
from uuid import UUID

from prefect.cache_policies import NO_CACHE

from infra.retry_rule import (
    TRIES,
    busy_after,
    is_worth_another_try,
    most_retries,
    wait_after,
    waited,
)

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun


class Policy(TypedDict, total=False):
    """Arguments of `prefect.task` that all tasks of a kind share."""

    persist_result: bool
    cache_policy: Any
    retries: int
    retry_delay_seconds: Any
    retry_jitter_factor: float
    retry_condition_fn: Any


_busy: dict[UUID, int] = {}
"""Task run that is tried again to how many of its last tries, in a row, met something busy.

Prefect says how often a task was tried, but only of the last try how it ended. One that succeeds in the end
leaves its number here, until the process ends with its run.
"""


def may_pass(_task: "Task[Any, Any]", run: "TaskRun", state: "State[Any]") -> bool:
    """Whether what a task failed with is worth another try, by the rule of `infra/retry_rule.py`.

    Seconds are those that Prefect has waited between tries: a task that computes for long before it meets
    the store again has as many tries as one that does not.
    """
    error = state.result(raise_on_failure=False)
    before = _busy.pop(run.id, 0) if run.run_count > 1 else 0
    busy = busy_after(before, error)
    again = is_worth_another_try(error, busy, waited(run.run_count))
    if again:
        _busy[run.id] = busy
    return again


LOCAL: Policy = {"persist_result": False, "cache_policy": NO_CACHE}
"""A step that touches nothing outside the process: a second try would fail alike."""

STORE: Policy = {
    **LOCAL,
    "retries": most_retries() + TRIES,  # a store that was away for as long may be busy then
    "retry_delay_seconds": [wait_after(tries) for tries in range(1, TRIES)],  # the last one again and again
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_pass,
}
"""A step that reads or writes the object store."""
