"""Who spoiled a round: the average is made again without each party in turn, and scored on validation."""

from prefect import task
from prefect.logging import get_run_logger

from fedmodels.aggregation.fedavg import NOT_FINITE
from fedmodels.errors import IntegrityError, RunError
from fedmodels.protocol.dropping import without, worst_contributor
from fedmodels.protocol.messages import Decision, Metrics
from tasks.coordinator.aggregating import write_average
from tasks.coordinator.interrupting import interrupted
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sets import finite_scores, loaded_workbench
from tasks.policy import STORE
from tasks.tagging import tagged

FILE = "without.safetensors"


@task(task_run_name="find_worst · round {decision.round}", **STORE)
@tagged
def find_worst(run: CoordinatorRun, decision: Decision) -> str | None:
    """The accepted party without which the average scores best on validation; `None` when none is finite.

    Costs one average and one scoring for each accepted update, and is asked only of a round that the gate
    refused.
    """
    scores: dict[str, Metrics | None] = {}
    for update in decision.accepted:
        if interrupted(run):
            return None
        scores[update.party] = _score_without(run, decision, update.party)
    worst = worst_contributor(scores, run.plan.recipe.key_metric)
    if worst is not None:
        get_run_logger().warning("Without %s the average of round %d is best", worst, decision.round)
    return worst


def _score_without(run: CoordinatorRun, decision: Decision, party: str) -> Metrics | None:
    """On validation; `None` when that average is not finite, or an update of it was taken back."""
    path = run.round_folder(decision.round) / FILE
    try:
        sha256 = write_average(run, without(decision, party), path)
    except RunError as error:
        if not (isinstance(error, IntegrityError) or error.code == NOT_FINITE):
            raise
        return None
    bench = loaded_workbench(run)
    bench.load(path, sha256)
    return finite_scores(run, bench, "validation")
