"""After a round was refused: ask the same parties again, leave out who spoiled it, or stop.

Derived from the records alone, so that whoever takes over draws the same cohort. The worst contributor is
the party without whose update the average scores best on validation: a leave-one-out valuation (Ghorbani &
Zou, Data Shapley, ICML 2019, section 2), which costs one average and one scoring for each party, and only
after a refusal.
"""

from collections.abc import Mapping, Sequence

from fedmodels.protocol.messages import Decision, Metrics, Record

CHANGED_SINCE = "changed-since"
DROP_ROUNDS = 3
"""Rounds for which the worst contributor of a refused round is left out."""


def draw_number(records: Sequence[Record]) -> int:
    """The round by whose number the next cohort is drawn: that of the first try.

    A round that the gate refused is tried again with the cohort that was drawn for it.
    """
    number = len(records) + 1
    for record in reversed(records):
        if record.outcome != "gate-refused":
            break
        number = record.round
    return number


def dropped_parties(records: Sequence[Record]) -> frozenset[str]:
    """Parties that spoiled one of the last rounds, as worst contributor or by taking their update back."""
    recent = records[-DROP_ROUNDS:]
    worst = {record.dropped for record in recent if record.dropped is not None}
    return frozenset(worst.union(*map(took_back, recent)))


def took_back(record: Record) -> frozenset[str]:
    """Parties whose admitted update was another one, or gone, when the round's decision was carried out."""
    return frozenset(refusal.party for refusal in record.refused if refusal.code == CHANGED_SINCE)


def dropped_in_words(party: str) -> str:
    """For people, what becomes of the worst contributor."""
    return (
        f"{party} contributed worst, since the average is best without it: "
        f"it is left out of the next {DROP_ROUNDS} rounds"
    )


def without(decision: Decision, party: str) -> Decision:
    """The decision as if `party` had sent nothing: the others' weights, scaled to sum to 1 again."""
    others = [update for update in decision.accepted if update.party != party]
    total = sum(update.weight for update in others)
    return decision.model_copy(
        update={
            "accepted": tuple(
                update.model_copy(update={"weight": update.weight / total}) for update in others
            )
        }
    )


def worst_contributor(scores: Mapping[str, Metrics | None], key_metric: str) -> str | None:
    """The party without which the average is best.

    Args:
        scores: on validation, of the average without each party; `None` where a score is not finite.
        key_metric: the score by which they are compared; the lower loss decides between equals, then the id.

    Returns:
        `None` when no average without one party has finite scores.
    """
    finite = {party: metrics for party, metrics in scores.items() if metrics is not None}

    def rank(party: str) -> tuple[float, float, str]:
        metrics = finite[party]
        score = float(getattr(metrics, key_metric))
        return (score if key_metric == "loss" else -score), metrics.loss, party

    return min(finite, key=rank, default=None)
