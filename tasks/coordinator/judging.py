"""The round gate, and the score on the holdout that never decides."""

from collections.abc import Mapping, Sequence

from prefect import task

from fedmodels.protocol.deciding import Collected
from fedmodels.protocol.messages import Candidate, Evaluation, GateResult, Metrics
from fedmodels.protocol.progress import last_passed
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sets import finite_scores, loaded_workbench
from tasks.models import fetch_model
from tasks.policy import LOCAL, STORE
from tasks.tagging import tagged
from validation.gates import round_gate


@task(task_run_name="evaluate · holdout · round {candidate.round}", **STORE)
@tagged
def score_holdout(run: CoordinatorRun, candidate: Candidate) -> Metrics | None:
    """Score the candidate on the coordinator's holdout; reported, and used for no decision.

    `None` when its scores are not finite there, or were not on validation, and then it is refused anyhow.
    """
    if candidate.metrics is None:
        return None
    bench = loaded_workbench(run)
    if bench.loaded != candidate.model_sha256:
        path, _ = fetch_model(run.store, candidate.model_sha256, run.models)
        bench.load(path, candidate.model_sha256)
    return finite_scores(run, bench, "holdout")


@task(task_run_name="gate · round {candidate.round}", **LOCAL)
@tagged
def judge(
    run: CoordinatorRun,
    candidate: Candidate,
    collected: Sequence[Collected],
    evaluations: Mapping[str, Evaluation | None],
) -> GateResult:
    """Hold the candidate against the good model on validation and at each party."""
    good = last_passed(run.records)
    rows = good.parties if good else {}
    parties = {
        party: (rows[party].metrics if party in rows else None, found.metrics if found else None)
        for party, found in evaluations.items()
    }
    norms = {item.party: item.receipt.update_norm for item in collected if item.receipt and not item.refusal}
    return round_gate(
        run.plan.recipe.gate,
        run.plan.recipe.key_metric,
        good.metrics if good else None,
        candidate.metrics,
        parties,
        norms,
    )
