"""The decision: which updates count. Written once; the aggregate is a function of it alone."""

from collections.abc import Sequence

from prefect import task

from fedmodels.aggregation.fedavg import fedavg_weights
from fedmodels.protocol.messages import AcceptedUpdate, Announcement, Decision
from infra.layout import round_key
from tasks.coordinator.collecting import Collected
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import create_message, read_message
from tasks.policy import STORE
from tasks.tagging import tagged


@task(task_run_name="admit_updates · round {announcement.round}", **STORE)
@tagged
def admit_updates(
    run: CoordinatorRun, announcement: Announcement, collected: Sequence[Collected]
) -> Decision:
    """Write `decision.json` with the admitted updates, sorted by party, and the refusals."""
    admitted = {item.party: item for item in collected if item.refusal is None}
    counts = {party: item.receipt.num_examples for party, item in admitted.items() if item.receipt}
    weights = fedavg_weights(counts, run.plan.recipe.weighting) if counts else {}
    decision = Decision(
        run=run.run,
        round=announcement.round,
        base_sha256=announcement.model_sha256,
        accepted=tuple(_accepted(admitted[party], weights[party]) for party in sorted(admitted)),
        refused=tuple(item.refusal for item in collected if item.refusal is not None),
    )
    return create_message(run.store, round_key(run.run, announcement.round, "decision"), decision)


def standing_decision(run: CoordinatorRun, round_number: int) -> Decision | None:
    """The decision that an earlier coordinator wrote for this round, if any."""
    return read_message(run.store, round_key(run.run, round_number, "decision"), Decision)


def _accepted(item: Collected, weight: float) -> AcceptedUpdate:
    receipt = item.receipt
    assert receipt is not None and receipt.update_sha256 is not None and item.receipt_sha256 is not None
    return AcceptedUpdate(
        party=item.party,
        receipt_sha256=item.receipt_sha256,
        update_sha256=receipt.update_sha256,
        num_examples=receipt.num_examples,
        weight=weight,
    )
