"""One training run, conducted by the coordinator: rounds until enough have passed."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner

from fedmodels.errors import FedcartError, TooManyFailures
from fedmodels.full_disk import is_disk_full
from fedmodels.identifiers import check_identifier
from fedmodels.protocol.messages import Record
from fedmodels.protocol.progress import why_finished, why_refused
from fedmodels.recipe import Recipe
from flows.recipes import load_recipe
from infra.settings import load_settings
from tasks.coordinator.aggregating import aggregate
from tasks.coordinator.announcing import announce_round
from tasks.coordinator.artifacts import show_round, show_run
from tasks.coordinator.closing import close_round, close_run, commit_record, standing_record
from tasks.coordinator.collecting import collect_evaluation, collect_update, recall_updates
from tasks.coordinator.deciding import admit_updates, standing_decision
from tasks.coordinator.judging import judge, score_holdout
from tasks.coordinator.opening import open_run, resume_run
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sessions import await_sessions, start_session
from tasks.coordinator.sets import load_workbench
from tasks.coordinator.tuning import fine_tune, propose, standing_candidate
from tasks.party.boundary import silence_tracebacks

COLLECTORS: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=256)
"""One thread waits for each party; they wait and seldom work."""


@flow(
    name="federated-training",
    persist_result=False,
    task_runner=COLLECTORS,  # type: ignore[arg-type]  # its futures are PrefectFutures
)
def federated_training(
    recipe: dict[str, Any] | str,
    run: str | None = None,
    resume: bool = False,
    parties: list[str] | None = None,
) -> dict[str, Any] | State[Any]:
    """Train the recipe's model across its parties; return the run's id, status and kept model.

    Args:
        recipe: name of a recipe, or its content without any path.
        run: id of the run; from the recipe's name and the time when it is not given.
        resume: go on with a run whose coordinator died, from HEAD.
        parties: those of the recipe that take part; all of them when it is not given.
    """
    silence_tracebacks()
    agreed = load_recipe(recipe) if isinstance(recipe, str) else Recipe.model_validate(recipe)
    name = check_identifier("run", run or f"{agreed.name[:15]}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    conductor = CoordinatorRun(name, load_settings())
    chosen = tuple(sorted(parties)) if parties else agreed.parties
    try:
        return conduct(conductor, agreed, chosen, resume=resume)
    except FedcartError as error:
        return Failed(message=f"{error.code}: {error}")
    except OSError as error:
        if not is_disk_full(error):
            raise
        return Failed(message="disk-full: The coordinator's disk is full; free space and resume the run.")


def conduct(run: CoordinatorRun, recipe: Recipe, parties: tuple[str, ...], *, resume: bool) -> dict[str, Any]:
    """Start the parties' sessions, open or resume the run, play its rounds and close it."""
    for party in parties:  # one after the other: the server is slow at writes that come side by side
        start_session(run, party)
    if resume:
        resume_run(run)
    else:
        open_run(run, recipe, parties)
    load_workbench(run)
    try:
        reason = play_rounds(run)
    except TooManyFailures as error:
        close_run(run, "failed", error.code, str(error))
        raise
    closed = close_run(run, "finished", "", reason)
    show_run(run, closed)
    return {"run": run.run, "status": closed.status, "model_sha256": closed.model_sha256}


def play_rounds(run: CoordinatorRun) -> str:
    """Play rounds until the run is finished; return why it is.

    Raises:
        QuorumMissed: too few parties joined; the run stays open and can be resumed.
        TooManyFailures: more rounds failed than the recipe allows.
    """
    recipe = run.plan.recipe
    await_sessions(run, tuple(run.plan.parties), recipe.min_available_parties)
    while (reason := why_finished(run.head, run.records, recipe)) is None:
        if run.head.failed_rounds > recipe.max_failed_rounds:
            raise TooManyFailures(
                f"{run.head.failed_rounds} rounds failed, {recipe.max_failed_rounds} are allowed; "
                f"the last one: {why_refused(run.records[-1])}",
                fix=f"see fedcart runs show {run.run} for every round's reasons",
            )
        number = run.head.round + 1
        standing = standing_record(run, number)
        record = commit_record(run, standing) if standing else play_round(run, number)
        show_round(run, record)
    return reason


def play_round(run: CoordinatorRun, number: int) -> Record:
    """One round: announce, collect, decide, aggregate, fine-tune, propose, judge, close."""
    announcement = announce_round(run, number)
    decision = standing_decision(run, number)
    if decision is not None:
        collected = recall_updates(run, announcement, decision)
    else:
        arrivals = [collect_update.submit(run, announcement, party) for party in announcement.cohort]
        collected = [arrival.result() for arrival in arrivals]
        decision = admit_updates(run, announcement, collected)
    if len(decision.accepted) < run.plan.recipe.min_available_parties:
        return close_round(run, announcement, decision, collected)
    candidate = standing_candidate(run, number)
    if candidate is None:
        aggregated = aggregate(run, decision)
        candidate = propose(run, number, fine_tune(run, number, aggregated))
    asked = announcement.cohort if candidate.evaluate else ()
    scores = {party: collect_evaluation.submit(run, candidate, party) for party in asked}
    holdout = score_holdout(run, candidate)
    evaluations = {party: score.result() for party, score in scores.items()}
    verdict = judge(run, candidate, collected, evaluations)
    return close_round(
        run, announcement, decision, collected, candidate, evaluations, holdout=holdout, gate=verdict
    )
