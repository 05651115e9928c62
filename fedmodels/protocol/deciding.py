"""The decision: which of the collected updates count, and with which weight. Pure.

Codes that are given here; admission and the parties have their own:

    late               nothing was submitted before the collection was over
    late-after-resume  likewise, in a round that a resumed coordinator took over
    session-died       nothing was submitted, and the session was started again as often as is allowed
    session-cancelled  nothing was submitted, and somebody cancelled the session
    duplicate          the party has another update in this decision
    not-asked          the party was not in the cohort of the round that its receipt names
    not-late           the receipt of the round before was not missing there, so it had its chance
    too-stale          the receipt is of a round before the last one
    changed-since      it was admitted and counted, but is no longer what the decision pins
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from fedmodels.protocol.dropping import CHANGED_SINCE
from fedmodels.protocol.messages import (
    AcceptedUpdate,
    Announcement,
    DataReport,
    Decision,
    Receipt,
    Record,
    Refusal,
)
from fedmodels.protocol.salvage import discounted, salvageable, staleness, staleness_discount
from fedmodels.recipe import Recipe

Shares = Callable[[Mapping[str, int]], Mapping[str, float]]
"""The strategy's share of each party in the average, from the numbers of examples; they sum to 1."""


class Collected(BaseModel):
    """What came of one party in one round: an admitted receipt, or a refusal.

    `round` is the receipt's own round when that is the one before, and the update may be salvaged. `report`
    is what a party that sat the round out says of its data, in counts.
    """

    model_config = ConfigDict(frozen=True)

    party: str
    receipt: Receipt | None = None
    receipt_sha256: str | None = None
    refusal: Refusal | None = None
    report: DataReport | None = None
    round: int | None = None


def decide(
    announcement: Announcement,
    collected: Iterable[Collected],
    shares: Shares,
    recipe: Recipe,
    *,
    records: Sequence[Record] = (),
    before: Announcement | None = None,
) -> Decision:
    """The decision of a round.

    A party counts at most once, its own update of this round before a salvaged one; and no update counts
    in two decisions, since only one that was missing in the round before is salvaged.

    Args:
        announcement: of this round.
        collected: what came of each party; of several for one party and round, the first counts.
        shares: weights of updates that are all fresh.
        recipe: says whether, and with which discount, late updates are salvaged.
        records: the closed rounds, in order.
        before: announcement of the round before, if there was one.
    """
    allowed = _Allowed(announcement, before, frozenset(salvageable(records, recipe)))
    admitted: dict[str, Collected] = {}
    refused: list[Refusal] = []
    for item in sorted(collected, key=lambda item: (item.round is not None, item.party)):
        code = item.refusal.code if item.refusal else allowed.objection(item, admitted)
        if code is None:
            admitted[item.party] = item
        else:
            refused.append(item.refusal or _refusal(item, code))
    counts = {party: item.receipt.num_examples for party, item in sorted(admitted.items()) if item.receipt}
    exponent = recipe.salvage.exponent if recipe.salvage else 0.0
    stale = staleness_discount(staleness(records), exponent)
    discounts = {party: stale for party, item in admitted.items() if item.round is not None}
    weights = discounted(shares(counts), discounts) if counts else {}
    return Decision(
        run=announcement.run,
        round=announcement.round,
        base_sha256=announcement.model_sha256,
        accepted=tuple(
            _accepted(admitted[party], weights[party], discounts.get(party, 1.0)) for party in counts
        ),
        refused=tuple(sorted(refused, key=lambda refusal: (refusal.party, refusal.round is not None))),
    )


def as_decided(decision: Decision, collected: Iterable[Collected]) -> tuple[Collected, ...] | None:
    """What was collected, with the refusals that the decision adds; `None` when it is another's decision.

    Then it pins receipts that were not collected here, or leaves open what became of one that was.
    """
    pinned = {(update.party, update.round): update.receipt_sha256 for update in decision.accepted}
    refusals = {(refusal.party, refusal.round): refusal for refusal in decision.refused}
    settled: list[Collected] = []
    for item in collected:
        place = (item.party, item.round)
        if item.refusal is None and pinned.get(place) == item.receipt_sha256:
            settled.append(item)
            del pinned[place]
        elif place in refusals:
            refusal = refusals[place]
            settled.append(Collected(party=item.party, refusal=refusal, round=item.round, report=item.report))
        else:
            return None
    return None if pinned else tuple(settled)


def changed_since(decision: Decision, collected: Iterable[Collected]) -> tuple[Refusal, ...]:
    """Refusals of updates that the decision counts and that are not what it pins any more; sorted.

    A party can delete what it submitted. Then the decision cannot be carried out, and the round is refused.
    """
    pinned = {(update.party, update.round) for update in decision.accepted}
    return tuple(item.refusal for item in collected if item.refusal and (item.party, item.round) in pinned)


def changed(party: str, number: int | None) -> Collected:
    """What stands for an admitted update of `party` that is not what its decision pins any more.

    Args:
        party: whose update.
        number: round of its receipt when it was salvaged, else `None`.
    """
    reason = f"The update of {party} is no longer the one that was admitted"
    refusal = Refusal(party=party, code=CHANGED_SINCE, reason=reason, round=number)
    return Collected(party=party, refusal=refusal, round=number)


class _Allowed:
    """Who may have an update in this decision, and from which round."""

    def __init__(self, announcement: Announcement, before: Announcement | None, late: frozenset[str]) -> None:
        self._round = announcement.round
        self._asked = frozenset(announcement.cohort)
        self._asked_before = frozenset(before.cohort) if before else frozenset()
        self._late = late

    def objection(self, item: Collected, admitted: Mapping[str, Collected]) -> str | None:
        """The code that speaks against an admitted receipt, or `None`."""
        if item.round is not None and item.round != self._round - 1:
            return "too-stale"
        if item.party not in (self._asked if item.round is None else self._asked_before):
            return "not-asked"
        if item.round is not None and item.party not in self._late:
            return "not-late"
        return "duplicate" if item.party in admitted else None


def _refusal(item: Collected, code: str) -> Refusal:
    reasons = {
        "too-stale": f"The update of {item.party} is of round {item.round}, before the last one",
        "not-asked": f"Party {item.party} was not asked in the round of its receipt",
        "not-late": f"The update of {item.party} to round {item.round} was there when that round was decided",
        "duplicate": f"Party {item.party} has another update in this round",
    }
    return Refusal(party=item.party, code=code, reason=reasons[code], round=item.round)


def _accepted(item: Collected, weight: float, discount: float) -> AcceptedUpdate:
    receipt = item.receipt
    assert receipt is not None and receipt.update_sha256 is not None and item.receipt_sha256 is not None
    return AcceptedUpdate(
        party=item.party,
        receipt_sha256=item.receipt_sha256,
        update_sha256=receipt.update_sha256,
        num_examples=receipt.num_examples,
        weight=weight,
        round=item.round,
        discount=discount,
    )
