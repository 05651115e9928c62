"""Ending a run that nobody will go on with, in the bucket and in Prefect."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fedmodels.errors import FedcartError
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
