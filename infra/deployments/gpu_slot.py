"""The one place on a party's GPU: a concurrency limit of Prefect's, held around training alone."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from infra.deployments.looking import has_free_slot
from infra.waiting import patient, wait_for

LEASE_SECONDS = 60.0
"""How long the place stays taken after a process that had it was killed: the least that Prefect allows."""
LONGEST_LOOK = 2.0

Slot = AbstractContextManager[None]


@contextmanager
def gpu_slot(limit: str, *, timeout: float, given_up: Callable[[], bool]) -> Iterator[bool]:
    """Hold the one slot of `limit` while the body runs.

    A Prefect server that is away has no slot to give: it is waited for as for a training that has the slot.
    One that goes away later takes nothing from the body: the lease runs out by itself.

    Args:
        limit: name of the concurrency limit.
        timeout: seconds to wait for the slot.
        given_up: asked at each look; true ends the waiting.

    Yields:
        Whether the slot is held; false when `given_up` or the time was over first.

    Raises:
        StackError: the server knows no such limit (`deployment-missing`).
    """
    import httpx

    take = patient(lambda: _take(limit))
    found = wait_for(lambda: given_up() or take(), timeout=timeout, longest_wait=LONGEST_LOOK)
    if not isinstance(found, AbstractContextManager):
        yield False
        return
    try:
        yield True
    finally:
        with suppress(httpx.HTTPError):
            found.__exit__(None, None, None)


def _take(limit: str) -> Slot | None:
    """The slot, entered; `None` when another has it.

    Raises:
        PrefectAway: the server does not answer.
        StackError: the server knows no such limit.
    """
    from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
    from prefect.concurrency.sync import concurrency

    if not has_free_slot(limit):  # asked first: Prefect logs each slot that it does not get as an error
        return None
    slot = concurrency(
        limit,
        max_retries=0,
        lease_duration=LEASE_SECONDS,
        strict=True,
        raise_on_lease_renewal_failure=False,
    )
    try:
        slot.__enter__()
    except ConcurrencySlotAcquisitionError:
        return None
    return slot
