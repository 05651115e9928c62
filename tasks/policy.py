"""What Prefect does with a task, said once: retries where a retry is right, nothing persisted."""

from typing import TYPE_CHECKING, Any, TypedDict

from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from fedmodels.errors import TransientError

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


def is_transient(_task: "Task[Any, Any]", _run: "TaskRun", state: "State[Any]") -> bool:
    """Only a fault of the object store or of Prefect's server that may pass is worth another try."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransientError)


LOCAL: Policy = {"persist_result": False, "cache_policy": NO_CACHE}
"""A step that touches nothing outside the process: a second try would fail alike."""

STORE: Policy = {
    **LOCAL,
    "retries": 5,
    "retry_delay_seconds": exponential_backoff(backoff_factor=1),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
}
"""A step that reads or writes the object store: five more tries over half a minute, with jitter."""
