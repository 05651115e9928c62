"""What is worth another try, said once: a store that is away is outlasted, what is busy is tried a few times.

The two are counted apart, by time and by tries: a store that comes back after an outage is busy at first.

`infra/waiting.py` gives the rule to tenacity, for a read outside a task; `tasks/policy.py` to Prefect, for a
task.
"""

from itertools import count

from fedmodels.errors import StoreUnavailable, TransientError

TRIES = 6
"""In a row of what is busy, over half a minute."""
OUTAGE_S = 600.0
"""How long a store may be away before a run's own processes give up."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 16.0
"""Between two tries, without jitter; each wait is twice the one before."""


def busy_after(busy: int, error: BaseException | None) -> int:
    """How many of the last tries, in a row, met something that was there and busy.

    Args:
        busy: how many it were before the last try.
        error: what that one ended with.
    """
    return 0 if isinstance(error, StoreUnavailable) else busy + 1


def is_worth_another_try(error: BaseException | None, busy: int, seconds: float) -> bool:
    """Whether the same call may do better the next time, and was not tried for long enough.

    A store that does not answer is outlasted, since what a process has done would be lost with it.

    Args:
        error: what the last try ended with.
        busy: `busy_after` that try.
        seconds: since the first one.
    """
    if isinstance(error, StoreUnavailable):
        return seconds < OUTAGE_S
    return isinstance(error, TransientError) and busy < TRIES


def wait_after(tries: int) -> float:
    """Seconds between so many tries and the next one, without jitter."""
    return float(min(FIRST_WAIT_S * 2.0 ** (tries - 1), LONGEST_WAIT_S))


def waited(tries: int) -> float:
    """Seconds between the first and the last of so many tries that take no time, without jitter."""
    return sum(wait_after(number) for number in range(1, tries))


def most_retries() -> int:
    """Tries after the first one that a store which is away gets, when none takes time itself."""
    return next(tries for tries in count(1) if waited(tries) >= OUTAGE_S) - 1
