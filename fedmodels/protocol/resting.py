"""Resting: a party that was refused again and again, or dropped, is left alone for some rounds.

Derived from the records alone, so that whoever takes over draws the same cohort.
"""

from collections.abc import Iterable, Sequence

from fedmodels.protocol.dropping import CHANGED_SINCE, dropped_parties
from fedmodels.protocol.messages import Decision, Record
from fedmodels.recipe import Recipe

REFUSALS_IN_A_ROW = 3
REST_ROUNDS = 3
NOT_ITS_FAULT = frozenset({"late-after-resume", "not-asked", "session-cancelled"})
"""Refusals that say nothing about the party: the coordinator was away, or a person stopped the session."""


def resting_parties(records: Sequence[Record], parties: Iterable[str], min_available: int) -> frozenset[str]:
    """Parties that sit out the round after `records`.

    A party that was refused in each of the last three rounds that asked it rests for three rounds. Then it
    is asked once more, and rests again if it is refused again. A party that spoiled a round, as its worst
    contributor or by taking its update back, rests for the next three. When too few would be left, those
    with the fewest refusals are asked all the same, and those that spoiled a round last of all.

    Args:
        records: the closed rounds, in order.
        parties: all of the run.
        min_available: how many must be left at least.
    """
    everyone = sorted(set(parties))
    streaks = {party: _streak(records, party) for party in everyone}
    dropped = dropped_parties(records)
    due = [
        party
        for party, (length, last) in streaks.items()
        if party in dropped or (length >= REFUSALS_IN_A_ROW and len(records) - last < REST_ROUNDS)
    ]
    worst_first = sorted(due, key=lambda party: (party not in dropped, -streaks[party][0], party))
    return frozenset(worst_first[: max(0, len(everyone) - min_available)])


def _streak(records: Sequence[Record], party: str) -> tuple[int, int]:
    """Refusals in a row up to now, and the number of the round of the latest one."""
    length, last = 0, 0
    for record in records:
        codes = {
            refusal.code for refusal in record.refused if refusal.party == party and refusal.round is None
        }
        counted = party in record.accepted and CHANGED_SINCE not in codes
        if counted:
            length = 0
        elif codes - NOT_ITS_FAULT:
            length, last = length + 1, record.round
    return length, last


def may_drop(recipe: Recipe, parties: Iterable[str], records: Sequence[Record], decision: Decision) -> bool:
    """Whether the worst contributor of this decision would be left out of the next rounds.

    The recipe says so, somebody else contributed, and enough parties are left.
    """
    everyone = frozenset(parties)
    left = everyone - resting_parties(records, everyone, recipe.min_available_parties)
    enough = len(left) > recipe.min_available_parties
    return recipe.gate.after_refusal == "drop" and len(decision.accepted) > 1 and enough
