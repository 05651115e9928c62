"""Who uses a stack that is up: commands that wait for something in it, and runs that nobody waits for."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fedmodels.errors import FedcartError
from infra.deployments.under_way import UnderWay, under_way
from infra.local import prefect_server, processes, slips
from infra.local.lock import locked
from infra.local.plan import Stack, read_stack
from infra.locations import stack_folder


@contextmanager
def using(home: Path, words: str) -> Iterator[None]:
    """Inside, a command uses the stack of `home`; nothing is noted where there is no stack.

    Args:
        home: folder of the stack.
        words: what uses it, for people: `fedcart train of reviews-20260102-030405`.
    """
    home = home.resolve()
    if read_stack(home) is None:
        yield
        return
    with locked(home):
        slip = slips.take(_folder(home), words)
    try:
        yield
    finally:
        slips.give_back(slip)


def users(home: Path, going: Collection[str], own_runs: Collection[str]) -> list[str]:
    """In words, the commands that use the stack, and what goes on in it beside `own_runs`.

    Called under the stack's lock, by a command that uses it no more.

    Args:
        home: folder of the stack.
        going: ids of the flow runs that have a process.
        own_runs: ids of the runs that do not count.
    """
    commands = slips.held(_folder(home.resolve()))
    stack = read_stack(home)
    found = _under_way(going, stack) if stack else []
    flow_runs = [each.name for each in found if each.run not in own_runs]
    return commands + [name for name in flow_runs if not any(_speaks_of(words, name) for words in commands)]


def runs_under_way(home: Path) -> list[str]:
    """Ids of the training runs that a stop of the stack would interrupt; each can be resumed."""
    stack = read_stack(home)
    if stack is None:
        return []
    found = _under_way(processes.flow_runs(stack_folder(stack.home)), stack)
    return sorted({each.run for each in found if each.run and each.trains})


def _speaks_of(words: str, name: str) -> bool:
    """Whether a command's words name the run that a flow run is named after."""
    return words.rpartition(" ")[2] == name.rpartition(" ")[2]


def _under_way(going: Collection[str], stack: Stack) -> list[UnderWay]:
    """Where the server cannot say, nothing: what has a process may well be the caller's own, which cannot
    report its end either, and what is interrupted can be resumed. A server that is gone is not asked: its
    client would try for a minute."""
    if going and prefect_server.answers(stack.server_port):
        with suppress(FedcartError):
            return under_way(going, api_url=stack.api_url)
    return []


def _folder(home: Path) -> Path:
    return stack_folder(home) / "users"
