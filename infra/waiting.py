"""The one way to wait: for a condition, with a deadline, looking less often as time goes by."""

import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tenacity import (
    RetryCallState,
    retry,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from fedmodels.errors import StoreUnavailable, TransientError

Found = TypeVar("Found")
Arguments = ParamSpec("Arguments")
TRIES = 6
"""Of a single read, over half a minute."""
OUTAGE_S = 600.0
"""How long a store may be away before a run's own processes give up."""


def wait_for(
    condition: Callable[[], Found | None],
    *,
    timeout: float,
    first_wait: float = 0.05,
    longest_wait: float = 0.5,
) -> Found | None:
    """Call `condition` until it returns something true, or `timeout` seconds are over.

    The wait between two calls grows by half each time up to `longest_wait`, with up to a tenth of
    jitter, so that many waiters do not look in step.

    Returns:
        What `condition` returned, or `None` when the time is over. It is called at least once, and
        once more at the deadline.
    """
    deadline = time.monotonic() + timeout
    wait = first_wait
    while True:
        if found := condition():
            return found
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(wait * (1 + 0.1 * random.random()), left))  # noqa: S311 (jitter, no secret)
        wait = min(wait * 1.5, longest_wait)


def patient(condition: Callable[[], Found | None]) -> Callable[[], Found | None]:
    """The same look, for which a store that does not answer means "not yet": the next look tells."""

    def look() -> Found | None:
        try:
            return condition()
        except TransientError:
            return None

    return look


def persistent(read: Callable[Arguments, Found]) -> Callable[Arguments, Found]:
    """The same read, tried again as a task's is while the store does not answer; then it raises."""
    again = retry(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential_jitter(initial=1, max=16),
        reraise=True,
    )
    return again(read)


def outlasting(read: Callable[Arguments, Found]) -> Callable[Arguments, Found]:
    """The same read, `persistent`, and for `OUTAGE_S` while the store does not answer at all."""
    again = retry(
        retry=retry_if_exception_type(TransientError),
        stop=_outlasted,
        wait=wait_exponential_jitter(initial=1, max=16),
        reraise=True,
    )
    return again(read)


def _outlasted(tried: RetryCallState) -> bool:
    error = tried.outcome.exception() if tried.outcome else None
    if isinstance(error, StoreUnavailable):
        return (tried.seconds_since_start or 0.0) >= OUTAGE_S
    return tried.attempt_number >= TRIES
