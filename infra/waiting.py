"""The one way to wait: for a condition, with a deadline, looking less often as time goes by."""

import math
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tenacity import RetryCallState, retry, wait_exponential_jitter

from fedmodels.errors import PrefectAway, StoreBusy, StoreUnavailable, TransientError
from infra.retry_rule import FIRST_WAIT_S, LONGEST_WAIT_S, OUTAGE_S, busy_after, is_worth_another_try

Found = TypeVar("Found")
Arguments = ParamSpec("Arguments")


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


def patient(
    condition: Callable[[], Found | None],
    *,
    passing: tuple[type[TransientError], ...] = (TransientError,),
) -> Callable[[], Found | None]:
    """The same look, for which a store that does not answer means "not yet": the next look tells."""

    def look() -> Found | None:
        try:
            return condition()
        except passing:
            return None

    return look


SLOW_ANSWER_S = 5.0
"""The most that one look at the store takes while the store answers."""


def wait_answered(
    look: Callable[[], Found | None], *, timeout: float, first_wait: float = 0.05
) -> Found | None:
    """`wait_for` what a look at the store finds, in time during which the store answers.

    Who is waited for cannot answer while the store is away: that time counts for nobody. A store that is away
    from the beginning is the caller's to try again; one that falls silent later is waited for.

    Args:
        look: what asks the store; one that is busy, or whose answer is damaged, says "not yet".
        timeout: seconds between two looks that were answered, all together.
        first_wait: as of `wait_for`.

    Raises:
        StoreUnavailable: the store is away at the first look, or for `OUTAGE_S` at a stretch.
    """
    answered: float | None = None
    spent, away = 0.0, False

    def found_or_over() -> tuple[Found | None] | None:
        nonlocal answered, spent, away
        asked = time.monotonic()
        try:
            found = patient(look, passing=(StoreBusy, PrefectAway))()
        except StoreUnavailable:
            if answered is None or time.monotonic() - answered >= OUTAGE_S:
                raise
            away = True
            return None
        now = time.monotonic()
        if answered is not None and not away:
            spent += asked - answered + min(now - asked, SLOW_ANSWER_S)  # a longer one was silence
        answered, away = now, False
        return (found,) if found or spent >= timeout else None

    ended = wait_for(found_or_over, timeout=math.inf, first_wait=first_wait)
    return ended[0] if ended else None


def outlasting(read: Callable[Arguments, Found]) -> Callable[Arguments, Found]:
    """The same read, tried again as a task's is: for longer while the store does not answer at all."""

    def is_over(tried: RetryCallState) -> bool:
        error = tried.outcome.exception() if tried.outcome else None
        of_this_call = tried.retry_object.statistics
        of_this_call["busy"] = busy_after(of_this_call.get("busy", 0), error)
        return not is_worth_another_try(error, of_this_call["busy"], tried.seconds_since_start or 0.0)

    waits = wait_exponential_jitter(initial=FIRST_WAIT_S, max=LONGEST_WAIT_S)
    return retry(stop=is_over, wait=waits, reraise=True)(read)
