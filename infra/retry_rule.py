"""What is worth another try, said once: a store that is away is outlasted, what is busy is tried a few times.

`infra/waiting.py` gives the rule to tenacity, for a read outside a task; `tasks/policy.py` to Prefect, for a
task.
"""

from itertools import count

from fedmodels.errors import StoreUnavailable, TransientError

TRIES = 6
"""Of what may pass, over half a minute."""
OUTAGE_S = 600.0
"""How long a store may be away before a run's own processes give up."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 16.0
"""Between two tries, without jitter; each wait is twice the one before."""


def is_worth_another_try(
    error: BaseException | None, tries: int, seconds: float, *, outlast: bool = True
) -> bool:
    """Whether the same call may do better the next time, and was not tried for long enough.

    A store that does not answer is outlasted, since what a process has done would be lost with it.

    Args:
        error: what the last try ended with.
        tries: how many there were.
        seconds: since the first one.
        outlast: whether a store that is away is waited for; if not, it is tried as often as a busy one.
    """
    if outlast and isinstance(error, StoreUnavailable):
        return seconds < OUTAGE_S
    return isinstance(error, TransientError) and tries < TRIES


def wait_after(tries: int) -> float:
    """Seconds between so many tries and the next one, without jitter."""
    return float(min(FIRST_WAIT_S * 2.0 ** (tries - 1), LONGEST_WAIT_S))


def waited(tries: int) -> float:
    """Seconds between the first and the last of so many tries that take no time, without jitter."""
    return sum(wait_after(number) for number in range(1, tries))


def most_retries() -> int:
    """Tries after the first one that a store which is away gets, when none takes time itself."""
    return next(tries for tries in count(1) if waited(tries) >= OUTAGE_S) - 1
