"""Ending a run that nobody will go on with, in the bucket and in Prefect."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fedmodels.errors import FedcartError, StoreLost
from flows.following import api_url, coordinator_store
from tasks.cancelling import cancel_run


def abandon(home: Path, run: str, reason: str, say: Callable[[str], None]) -> None:
    """Cancel a run before its stack is stopped: else its parts would start again with the next stack.

    Whatever cannot be reached any more, or is over, is left as it is.
    """
    from infra.deployments.starting import cancel, find_training

    say(f"cancelling {run}")
    with suppress(FedcartError):  # it may not have begun
        cancel_run(coordinator_store(home), run, reason)
    with suppress(FedcartError):
        server = api_url(home)
        if flow_run_id := find_training(run, api_url=server):
            cancel(flow_run_id, api_url=server)


@contextmanager
def cut_off_told(run: str, *, goes_down: bool) -> Iterator[None]:
    """Who watches a run whose store is lost, and stops its stack, is told that the run is cut off.

    Args:
        run: the run that the body watches.
        goes_down: whether the stack is stopped when the body fails.

    Raises:
        StoreLost: the store is lost; says so, and how the run goes on.
    """
    try:
        yield
    except StoreLost as error:
        if not goes_down:
            raise
        raise StoreLost(
            f"The object store does not answer ({error.code}); the stack of the run {run} is stopped under "
            "it, and the run stays open",
            fix=f"start the stack again with fedcart up, and go on with fedcart train --resume {run}",
            code=error.code,
        ) from None
