"""What Prefect does with a task, said once: retries where a retry is right, nothing persisted."""

import math
from typing import TYPE_CHECKING, Any, TypedDict

from prefect.cache_policies import NO_CACHE

from fedmodels.errors import StoreUnavailable, TransientError
from infra.waiting import OUTAGE_S, TRIES

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


def may_pass(_task: "Task[Any, Any]", run: "TaskRun", state: "State[Any]") -> bool:
    """Whether what a task failed with is worth another try: a fault of the store or of Prefect's server.

    A store that does not answer is waited for as long as there are retries, since what a task has done would
    be lost with it; whatever else may pass is tried `TRIES` times.
    """
    error = state.result(raise_on_failure=False)
    if isinstance(error, StoreUnavailable):
        return True
    return isinstance(error, TransientError) and run.run_count < TRIES


LOCAL: Policy = {"persist_result": False, "cache_policy": NO_CACHE}
"""A step that touches nothing outside the process: a second try would fail alike."""

_WAITS_S = [1.0, 2.0, 4.0, 8.0, 16.0]
"""Between tries; the last one again and again."""

STORE: Policy = {
    **LOCAL,
    "retries": len(_WAITS_S) + math.ceil((OUTAGE_S - sum(_WAITS_S)) / _WAITS_S[-1]),
    "retry_delay_seconds": _WAITS_S,
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_pass,
}
"""A step that reads or writes the object store: tried again for half a minute, and for `OUTAGE_S` while the
store is away."""
