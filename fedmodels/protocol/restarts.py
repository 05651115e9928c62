"""Whether, and when, a party's session that died, left or refused is started again. Time is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fedmodels.protocol.messages import Record

RESTARTS_PER_ROUND = 3
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
UNKNOWN = "UNKNOWN"
"""State of a flow run of which a server that answers knows nothing."""
_AWAY = frozenset({"transient", "store-unavailable", "store-busy", "store-damaged", "prefect-unreachable"})
"""Codes with which a session ends that could not reach others: what it sent may still arrive."""
_PASSING = _AWAY | {"disk-full"}
"""Codes with which a session ends that may do better the next time."""

Fate = Literal["alive", "left", "died", "refused", "cancelled"]
Deed = Literal["wait", "start", "give-up"]


def passes(code: str) -> bool:
    """Whether what a session ended with may be over by itself: then it has died, and has refused nothing."""
    return code in _PASSING


def code_of_death(code: str) -> str:
    """The code under which a party is refused whose session died again and again, and last with `code`.

    >>> code_of_death("disk-full"), code_of_death("store-unavailable"), code_of_death("")
    ('disk-full', 'session-died', 'session-died')
    """
    return code if code and code not in _AWAY else "session-died"


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

    `left`: it ended as it should, being idle, or a server that lost its database does not know it; what
    still lives of it leaves as it sees that it lost its lease. `died`: it fell, or ended with an error that
    passes. `refused`: it ended with one that another start does not mend. `cancelled`: by a person.

    Args:
        state: type of the flow run's state, or `UNKNOWN`; `None` when the server does not answer, and then
            the session is taken for alive.
        code: code of the error that it ended with, if it said one.
    """
    if state in ("COMPLETED", UNKNOWN):
        return "left"
    if state == "CRASHED" or (state == "FAILED" and (not code or passes(code))):
        return "died"
    if state == "FAILED":
        return "refused"
    if state in ("CANCELLED", "CANCELLING"):
        return "cancelled"
    return "alive"


@dataclass(frozen=True)
class Restarts:
    """What became of a party's sessions in one round.

    `left`: one has left, and was replaced at once. `deaths` are those that died, and that left after it.
    `due` is when the next one starts. `refused_in` is the round in which one refused, until it is started
    once more.
    """

    round: int = 0
    left: bool = False
    deaths: int = 0
    due: float | None = None
    refused_in: int | None = None


def after_look(known: Restarts, fate: Fate, round_number: int, now: float) -> tuple[Restarts, Deed]:
    """What a look at a party's session asks for, and what is known afterwards.

    Whoever leaves is replaced at once, since one that was idle leaves between two rounds; whoever dies, or
    leaves again in the same round, after a wait, and no more than `RESTARTS_PER_ROUND` times. One that
    refused is started once in each later round: what kept it may have been mended.

    Args:
        known: what was known before.
        fate: of the session that was looked at.
        round_number: the open round.
        now: seconds of any clock that does not jump.
    """
    if known.round != round_number:
        known = Restarts(round_number, refused_in=known.refused_in)
    match fate:
        case "alive":
            return known, "wait"
        case "cancelled":
            return known, "give-up"
        case "refused":
            if known.refused_in is not None and known.refused_in < round_number:
                return replace(known, refused_in=None), "start"
            return replace(known, refused_in=round_number), "give-up"
        case "left" if not known.left:
            return replace(known, left=True), "start"
    if known.due is None:
        wait = restart_after(known.deaths + 1)
        known = replace(known, deaths=known.deaths + 1, due=None if wait is None else now + wait)
    if known.due is None:
        return known, "give-up"
    return (replace(known, due=None), "start") if now >= known.due else (known, "wait")


def missed_round(records: Sequence[Record], party: str) -> int | None:
    """The last closed round that asked the party, when nothing came of it before that was over.

    Args:
        records: the closed rounds, in order.
        party: whose answers are looked for.
    """
    for record in reversed(records):
        codes = {said.code for said in record.refused if said.party == party and said.round is None}
        if codes or party in record.accepted:
            return record.round if "late" in codes and party not in record.accepted else None
    return None
