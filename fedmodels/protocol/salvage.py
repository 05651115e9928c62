"""Salvage: an update that came too late for its own round counts in the next one, discounted.

C. Xie, S. Koyejo, I. Gupta 2019, "Asynchronous Federated Optimization" (FedAsync), weighs an update by how
stale it is, with the polynomial (1 + tau)^-a among others; J. Nguyen et al. 2022, "Federated Learning with
Buffered Asynchronous Aggregation" (FedBuff), takes a = 1/2:

    w_k = n_k (1 + tau_k)^-a / sum over j of n_j (1 + tau_j)^-a

tau counts the models that passed the gate since the one from which the update was trained. Ours differs in
that rounds stay synchronous: only the round before is salvaged, so tau is 0 (that round did not pass) or 1.
"""

from collections.abc import Mapping, Sequence

from fedmodels.protocol.dropping import dropped_parties
from fedmodels.protocol.messages import Record
from fedmodels.recipe import Recipe

NOT_IN_TIME = frozenset({"late", "late-after-resume", "session-died", "session-cancelled"})
"""Refusals of a party from which there was no receipt when the decision was made."""


def salvageable(records: Sequence[Record], recipe: Recipe) -> tuple[str, ...]:
    """Parties whose update to the last closed round may still count in the next one; sorted.

    None of those that spoiled a round lately: they are left out of the next one altogether.

    Args:
        records: the closed rounds, in order.
        recipe: `salvage: null` salvages nothing.
    """
    if recipe.salvage is None or not records:
        return ()
    last = records[-1]
    late = {
        refusal.party for refusal in last.refused if refusal.round is None and refusal.code in NOT_IN_TIME
    }
    return tuple(sorted(late - dropped_parties(records)))


def staleness(records: Sequence[Record]) -> int:
    """Models that passed since the last closed round was announced: 0 or 1."""
    return int(bool(records) and records[-1].outcome == "passed")


def staleness_discount(tau: int, exponent: float) -> float:
    """(1 + tau) ** -exponent: 1 for a fresh update, less the staler it is.

    >>> staleness_discount(3, 0.5)
    0.5
    """
    return float((1 + tau) ** -exponent)


def discounted(shares: Mapping[str, float], discounts: Mapping[str, float]) -> dict[str, float]:
    """The parties' shares times their discounts, scaled to sum to 1 again.

    Without any discount the shares come back bit for bit, so that salvage changes no other round's model.

    Args:
        shares: party to its share, which sum to 1.
        discounts: party to a factor in (0, 1]; 1 where a party is missing.
    """
    if all(discounts.get(party, 1.0) == 1.0 for party in shares):
        return dict(shares)
    scaled = {party: share * discounts.get(party, 1.0) for party, share in shares.items()}
    total = sum(scaled.values())
    return {party: share / total for party, share in scaled.items()}
