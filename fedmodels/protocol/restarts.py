"""How often, and how soon, a party's session that died is started again. Time is an argument."""

from typing import Literal

RESTARTS_PER_ROUND = 3
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
UNKNOWN = "UNKNOWN"
"""State of a flow run of which a server that answers knows nothing."""
_PASSING = frozenset({"transient", "store-unavailable", "store-busy", "store-damaged"})
"""Codes with which a session ends that may do better the next time."""

Fate = Literal["alive", "left", "restart", "lost"]


def restart_after(deaths: int, allowed: int = RESTARTS_PER_ROUND) -> float | None:
    """Seconds from a session's `deaths`-th death in this round to its next start; `None`: no further one.

    The wait doubles with each death, 1, 2, 4 s and so on up to 30, so that a party that dies at once does
    not keep its worker busy.

    >>> [restart_after(deaths) for deaths in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, None]
    """
    if deaths > allowed:
        return None
    return float(min(FIRST_WAIT_S * 2 ** (deaths - 1), LONGEST_WAIT_S))


def session_fate(state: str | None, code: str = "") -> Fate:
    """What the state of a session's flow run asks for.

    `left`: it ended as it should, being idle, or a server that lost its database does not know it; it is
    started again at once, and what still lives leaves as it sees that it lost its lease. `restart`: it
    died. `lost`: a person cancelled it, or it refused for a reason that another start does not mend.

    Args:
        state: type of the flow run's state, or `UNKNOWN`; `None` when the server does not answer, and then
            the session is taken for alive.
        code: code of the error that it ended with, if it said one.
    """
    if state in ("COMPLETED", UNKNOWN):
        return "left"
    if state == "CRASHED" or (state == "FAILED" and (not code or code in _PASSING)):
        return "restart"
    if state in ("FAILED", "CANCELLED", "CANCELLING"):
        return "lost"
    return "alive"
