"""The one way to wait: for a condition, with a deadline, looking less often as time goes by."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


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
