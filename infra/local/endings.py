"""Flow runs whose stack is stopped: each may end by itself, and Prefect hears of those that did not.

What Prefect last heard of a run would stand for ever, or until it missed the run's heartbeat: nobody is left
to correct it.
"""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from fedmodels.errors import FedcartError
from infra.deployments.stopped import say_stopped
from infra.local import prefect_server, processes
from infra.local.plan import Stack
from infra.waiting import wait_for

STOPPED = "The stack was stopped while the run was under way"
PATIENCE_S = 2.0
"""For which runs may be ending when a stack is stopped: a session leaves a second after its run is closed."""


def await_flow_runs(stack: Path, patience: float) -> tuple[str, ...]:
    """Let the flow runs of the stack end for up to `patience` seconds; return the ids of those that go on.

    Args:
        stack: the stack's folder.
        patience: seconds.
    """
    left: Collection[str] = ()

    def ended() -> bool:
        nonlocal left
        left = processes.flow_runs(stack)
        return not left

    wait_for(ended, timeout=patience)
    return tuple(left)


def tell_prefect(stopped: tuple[str, ...], stack: Stack) -> None:
    """See that the server, if it still runs, takes none of these runs for one that goes on."""
    if stopped and prefect_server.answers(stack.server_port):
        with suppress(FedcartError):  # Prefect is the view, and keeps nobody from stopping a stack
            say_stopped(stopped, STOPPED, api_url=stack.api_url)
