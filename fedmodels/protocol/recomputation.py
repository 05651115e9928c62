"""What the recipe and the earlier records determine of a round, computed again by what decided it.

Pure. As in `agreement`, each function returns clauses for people; none means that all of it follows. Who
is dropped is not computed again: the scores by which the worst contributor was found are on no record.
"""

import math
from collections.abc import Iterable, Sequence

from fedmodels.protocol.allowance import has_quorum
from fedmodels.protocol.dropping import took_back
from fedmodels.protocol.messages import Decision, Head, Plan, Record
from fedmodels.protocol.recording import NO_FINITE_AVERAGE
from fedmodels.protocol.resting import may_drop
from fedmodels.protocol.salvage import salvageable, staleness, staleness_discount
from fedmodels.protocol.state import RunState
from fedmodels.protocol.steps import announcement_of
from fedmodels.recipe import Recipe

_TOLERANCE = 1e-9
"""Relative: a power may differ in its last bit from machine to machine."""


def drawn_cohort(plan: Plan, before: Head, records: Sequence[Record]) -> tuple[str, ...]:
    """The parties that the next round asks, sorted.

    Args:
        plan: of the run.
        before: HEAD after `records`.
        records: all closed rounds, in order.
    """
    return announcement_of(RunState(plan=plan, head=before, records=tuple(records))).cohort


def cohort_faults(decision: Decision, cohort: Sequence[str]) -> tuple[str, ...]:
    """Whether the decision says of each party that was drawn, and of no other, what came of it."""
    fresh = {update.party for update in decision.accepted if update.round is None}
    fresh |= {refusal.party for refusal in decision.refused if refusal.round is None}
    if fresh == set(cohort):
        return ()
    return (f"it is about {_listed(fresh)}, and the round's draw is {_listed(cohort)}",)


def salvage_faults(decision: Decision, records: Sequence[Record], recipe: Recipe) -> tuple[str, ...]:
    """Whether each salvaged update might be salvaged, and each discount is that of its staleness.

    Args:
        decision: of the round after `records`.
        records: all rounds closed before it, in order.
        recipe: says whether, and with which exponent.
    """
    late, faults = salvageable(records, recipe), []
    stale = staleness_discount(staleness(records), recipe.salvage.exponent) if recipe.salvage else 1.0
    for update in decision.accepted:
        salvaged = update.round is not None
        if salvaged and (update.party not in late or update.round != decision.round - 1):
            faults.append(f"it salvages what {update.party} sent to round {update.round}, and may not")
        expected = stale if salvaged else 1.0
        if not math.isclose(update.discount, expected, rel_tol=_TOLERANCE):
            faults.append(f"the discount of {update.party} is {update.discount:g}, not {expected:g}")
    return tuple(faults)


def repetition_faults(decision: Decision, earlier: Iterable[Decision]) -> tuple[str, ...]:
    """What the decision counts that an earlier one counts already: a receipt, or a party's round."""
    receipts: dict[str, int] = {}
    places: dict[tuple[str, int], int] = {}
    for other in earlier:
        for update in other.accepted:
            receipts.setdefault(update.receipt_sha256, other.round)
            places.setdefault((update.party, update.round or other.round), other.round)
    faults = []
    for update in decision.accepted:
        place = (update.party, update.round or decision.round)
        first = places.get(place, receipts.get(update.receipt_sha256))
        if first is not None:
            faults.append(
                f"what {update.party} sent to round {place[1]} was counted already, in round {first}"
            )
    return tuple(faults)


def quorum_faults(record: Record, decision: Decision, recipe: Recipe) -> tuple[str, ...]:
    """Whether the round went on exactly where the decision has its quorum."""
    fresh = sum(update.round is None for update in decision.accepted)
    fact = f"{fresh} updates of its own round count, and {recipe.min_available_parties} are required"
    enough = has_quorum(decision, recipe)
    if enough and record.outcome == "quorum-missed":
        return (f"its outcome is quorum-missed, but {fact}",)
    if not enough and (record.candidate_sha256 is not None or record.gate == NO_FINITE_AVERAGE):
        return (f"it went on without its quorum: {fact}",)
    return ()


def dropping_faults(
    record: Record, decision: Decision, plan: Plan, records: Sequence[Record]
) -> tuple[str, ...]:
    """Whether somebody might be dropped at all: by the recipe, by how many are left, after a verdict.

    Args:
        record: of the round after `records`, with its `decision`.
        plan: names the parties and the recipe.
        records: all rounds closed before it, in order.
    """
    allowed = may_drop(plan.recipe, plan.parties, records, decision) and not took_back(record)
    if record.dropped is None or allowed:
        return ()
    policy = f"after_refusal is {plan.recipe.gate.after_refusal}"
    return (f"it drops {record.dropped}, and may not: {policy}, {len(decision.accepted)} updates count",)


def _listed(parties: Iterable[str]) -> str:
    return ", ".join(sorted(parties)) or "nobody"
