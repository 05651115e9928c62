"""The one place on a party's GPU: a lock of its machine and a slot of Prefect's, held around training alone.

The lock is always taken first, and the slot only with it. So two sessions of one machine never train at
once, also when Prefect's server comes or goes between them. The slot shows on Prefect's page who trains,
and keeps a second machine of the party waiting as long as the server answers.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from fedmodels.errors import PrefectAway
from infra.deployments.looking import ANSWER_S, has_free_slot
from infra.file_lock import locked_file
from infra.waiting import wait_for

LEASE_SECONDS = 60.0
"""How long the place stays taken after a process that had it was killed: the least that Prefect allows."""
LONGEST_LOOK = 2.0


@contextmanager
def gpu_slot(limit: str, lock: Path, *, timeout: float, given_up: Callable[[], bool]) -> Iterator[bool]:
    """Hold the lock, and the one slot of `limit` where a server gives it, while the body runs.

    A Prefect server that is away keeps nobody from training: the lock alone is held then. One that goes away
    later takes nothing from the body: the lease of its slot runs out by itself.

    Args:
        limit: name of the concurrency limit.
        lock: file of the lock, the same for all of the party's sessions on this machine.
        timeout: seconds to wait for the place.
        given_up: asked at each look; true ends the waiting.

    Yields:
        Whether the place is held; false when `given_up` or the time was over first.

    Raises:
        StackError: the server knows no such limit (`deployment-missing`).
    """

    def take() -> ExitStack | bool | None:
        return given_up() or _place(limit, lock)

    found = wait_for(take, timeout=timeout, longest_wait=LONGEST_LOOK)
    if not isinstance(found, ExitStack):
        yield False
        return
    with found:
        yield True


def _place(limit: str, lock: Path) -> ExitStack | None:
    """What has to be closed to give the place back; `None` when another has it.

    Raises:
        StackError: the server knows no such limit.
    """
    with ExitStack() as held:
        if not held.enter_context(locked_file(lock, timeout=0)):
            return None
        try:
            taken = has_free_slot(limit) and held.enter_context(_slot(limit))
        except PrefectAway:
            taken = True
        return held.pop_all() if taken else None


@contextmanager
def _slot(limit: str) -> Iterator[bool]:
    """Hold a slot that is free, if it still is.

    `has_free_slot` is asked first, since Prefect logs each slot that it does not get as an error.
    """
    from prefect.concurrency.asyncio import (
        AcquireConcurrencySlotTimeoutError,
        ConcurrencySlotAcquisitionError,
    )
    from prefect.concurrency.sync import concurrency

    slot = concurrency(
        limit,
        timeout_seconds=2 * ANSWER_S,
        max_retries=0,
        lease_duration=LEASE_SECONDS,
        strict=True,
        raise_on_lease_renewal_failure=False,
    )
    try:
        slot.__enter__()
    except (AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError):
        yield False
        return
    try:
        yield True
    finally:
        _give_back(slot)


def _give_back(slot: AbstractContextManager[None]) -> None:
    """Give the slot back in some ten seconds at most; what is not given back runs out with its lease."""
    import httpx
    from prefect.settings import (
        PREFECT_API_REQUEST_TIMEOUT,
        PREFECT_CLIENT_MAX_RETRIES,
        temporary_settings,
    )

    briefly = temporary_settings({PREFECT_API_REQUEST_TIMEOUT: ANSWER_S, PREFECT_CLIENT_MAX_RETRIES: 1})
    with briefly, suppress(httpx.HTTPError):
        slot.__exit__(None, None, None)
