"""The decision: which updates count. Written once; the aggregate is a function of it alone."""

from prefect import task

from fedmodels.aggregation.fedavg import fedavg_weights
from fedmodels.protocol.deciding import decide
from fedmodels.protocol.messages import Announcement, Decision
from infra.layout import round_key
from tasks.coordinator.collecting import announcement_before
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import create_message
from tasks.policy import STORE
from tasks.tagging import tagged


@task(task_run_name="admit_updates · round {announcement.round}", **STORE)
@tagged
def admit_updates(run: CoordinatorRun, announcement: Announcement, late: tuple[str, ...]) -> Decision:
    """Write `decision.json` from what was collected, or adopt the one that stands."""
    recipe, collected = run.plan.recipe, run.state.collected
    assert collected is not None
    decision = decide(
        announcement,
        collected.items,
        lambda counts: fedavg_weights(counts, recipe.weighting),
        recipe,
        records=run.state.records,
        before=announcement_before(run, announcement) if late else None,
    )
    return create_message(run.store, round_key(run.run, announcement.round, "decision"), decision)
