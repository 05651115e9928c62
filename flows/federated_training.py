"""One training run, conducted by the coordinator: look at where it stands, take the next step, look again.

What the next step is, `fedmodels/protocol/steps.py` says; this flow only takes it.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from fedmodels.aggregation.fedavg import NOT_FINITE
from fedmodels.errors import (
    TRAINING_CANCELLED,
    FedcartError,
    IntegrityError,
    RunConflict,
    RunError,
    TooManyFailures,
    TrainingFailed,
    write_coded,
)
from fedmodels.full_disk import is_disk_full
from fedmodels.identifiers import check_identifier, new_run_id
from fedmodels.protocol.messages import Announcement, Candidate, Closed, Decision, StartingModel
from fedmodels.protocol.recording import NO_FINITE_AVERAGE
from fedmodels.protocol.resting import may_drop
from fedmodels.protocol.retraining import TRAINING_OPEN
from fedmodels.protocol.state import Collection, Found, Verdict
from fedmodels.protocol.steps import (
    Announce,
    CloseRun,
    Collect,
    Commit,
    Decide,
    Ended,
    Halt,
    Judge,
    MoveHead,
    Propose,
    Recall,
    Step,
    asks_parties,
    next_step,
    only_closes,
)
from fedmodels.recipe import Recipe
from flows.recipes import recipe_of
from infra.deployments.declaration import TRAINING_FLOW, training_name
from infra.settings import load_settings
from tasks.cancelling import close_cancelled
from tasks.coordinator.aggregating import aggregate
from tasks.coordinator.alone import check_no_training, start_scheduled
from tasks.coordinator.announcing import announce_round
from tasks.coordinator.artifacts import show_round, show_run
from tasks.coordinator.beginning import starting_model
from tasks.coordinator.closing import close_round, close_run
from tasks.coordinator.collecting import (
    collect_evaluation,
    collect_update,
    recall_updates,
    recheck_updates,
    salvage_updates,
)
from tasks.coordinator.deciding import admit_updates
from tasks.coordinator.dropping import find_worst
from tasks.coordinator.interrupting import fold_interruption, stop_waiting
from tasks.coordinator.judging import judge, score_holdout
from tasks.coordinator.opening import move_head, open_run, race_store, resume_run
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sessions import await_sessions, start_session
from tasks.coordinator.sets import load_workbench
from tasks.coordinator.tuning import fine_tune, propose
from tasks.tracebacks import silence_tracebacks
from tasks.working_files import leave_closed_run

COLLECTORS: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=256)
"""One thread waits for each party; they wait and seldom work."""


def run_of(recipe: Recipe, run: str | None, scheduled: datetime) -> str:
    """The run's id: the given one, or what recipe and moment make, the same at each try of a flow run.

    Raises:
        InputError: the given one is no id.
    """
    return check_identifier("run", run or new_run_id(recipe.name, scheduled))


def name_of_flow_run() -> str:
    """`federated-training · RUN`; what a schedule began has another name, for it only starts that."""
    given = flow_run.parameters
    try:
        run = run_of(recipe_of(given["recipe"]), given.get("run"), flow_run.scheduled_start_time)
        return training_name(run) if given.get("run") else f"scheduled training · {run}"
    except FedcartError:
        return TRAINING_FLOW


@flow(
    name=TRAINING_FLOW,
    flow_run_name=name_of_flow_run,
    persist_result=False,
    on_cancellation=[close_cancelled],
    task_runner=COLLECTORS,  # type: ignore[arg-type]  # its futures are PrefectFutures
)
def federated_training(
    recipe: dict[str, Any] | str,
    run: str | None = None,
    resume: bool = False,
    parties: list[str] | None = None,
    repeats: str | None = None,
    begins_from: dict[str, Any] | None = None,
) -> dict[str, Any] | State[Any]:
    """Train the recipe's model across its parties; return the run's id, status and kept model.

    Args:
        recipe: name of a recipe, or its content without any path.
        run: id of the run. When it is not given, a schedule asks: a run that is named after the recipe and
            the scheduled time is started, and this flow run ends; it is left out while another one is open.
        resume: go on with a run whose coordinator died, from HEAD.
        parties: those of the recipe that take part; all of them when it is not given.
        repeats: the run that this one is to make again, on the tables that its parties kept of it.
        begins_from: run, round and hash of the model from which it begins; the recipe's base model when it is
            not given.
    """
    silence_tracebacks()
    try:
        agreed = recipe_of(recipe)
        conductor = CoordinatorRun(run_of(agreed, run, flow_run.scheduled_start_time), load_settings())
    except FedcartError as error:
        return Failed(message=write_coded(error))
    chosen = tuple(sorted(parties)) if parties else agreed.parties
    try:
        if run is None:
            return start_alone(conductor, recipe, agreed, chosen)
        start = starting_model(begins_from)
        return conduct(conductor, agreed, chosen, resume=resume, repeats=repeats, start=start)
    except FedcartError as error:
        said = write_coded(error)
        left_out = isinstance(error, RunConflict) and error.code == TRAINING_OPEN
        return Completed(name="LeftOut", message=said) if left_out else Failed(message=said)
    except OSError as error:
        if not is_disk_full(error):
            raise
        full = RunError(
            "The coordinator's disk is full", fix="free space and resume the run", code="disk-full"
        )
        return Failed(message=write_coded(full))
    finally:
        stop_waiting(conductor)  # or the process would wait for the threads that wait for parties


def start_alone(
    run: CoordinatorRun, given: dict[str, Any] | str, recipe: Recipe, parties: tuple[str, ...]
) -> State[Any]:
    """Start the training that a schedule asks for, as a person would, unless one of its recipe is open.

    So the limit of one scheduled run at a time is held for seconds: whoever holds such a limit is ended when
    the Prefect server is away for minutes, and a training must not be.

    Raises:
        RunConflict: `training-open`.
    """
    check_no_training(run, recipe.name)
    start_scheduled(run, given, parties)
    return Completed(name="Started", message=f"The run {run.run} of {recipe.name} is started.")


def conduct(
    run: CoordinatorRun,
    recipe: Recipe,
    parties: tuple[str, ...],
    *,
    resume: bool,
    repeats: str | None = None,
    start: StartingModel | None = None,
) -> dict[str, Any]:
    """Start the parties' sessions, open or resume the run, and play it to its end.

    A run that only has to be closed needs neither sessions nor the coordinator's sets.

    Raises:
        QuorumMissed: too few parties joined, or answered; the run stays open and can be resumed.
        TooManyFailures: the gate refused more rounds than the recipe allows; the run is closed.
        RunConflict: another coordinator has taken over.
    """
    race_store(run)
    if resume:
        resume_run(run)
        if not only_closes(run.state):
            start_sessions(run, tuple(run.plan.parties))
            load_workbench(run)
    else:
        start_sessions(run, parties)  # they import their libraries while the plan is made
        open_run(run, recipe, parties, repeats, start)
        load_workbench(run)
    closed = play(run)
    leave_closed_run(run.store_for_looks, run.workspace, run)
    if closed.status == "failed":
        raise TooManyFailures(closed.reason.rstrip("."), code=closed.code or None)
    show_run(run, closed)
    return {"run": run.run, "status": closed.status, "model_sha256": closed.model_sha256}


def start_sessions(run: CoordinatorRun, parties: tuple[str, ...]) -> None:
    """One after the other: the server is slow at writes that come side by side."""
    for party in parties:
        start_session(run, party)


def play(run: CoordinatorRun) -> Closed:
    """Take one step after the other until the run is closed, by whomever.

    A round is shown while the next one is played: no round waits for the server. The parties are waited for
    once, before the first step that asks something of them: what a resumed run has left to do may be the
    coordinator's alone.
    """
    shown: list[PrefectFuture[None]] = []
    awaited = False
    while True:
        fold_interruption(run)
        match next_step(run.state):
            case Ended(closed):
                wait(shown)
                return closed
            case Halt(error):
                raise error
            case MoveHead(record, head):
                if move_head(run, head):
                    wait(shown)
                    shown = [show_round.submit(run, record)]
            case step:
                if asks_parties(step) and not awaited:
                    await_sessions(run, tuple(run.plan.parties), run.plan.recipe.min_available_parties)
                    awaited = True
                run.fold(take(run, step))


def take(run: CoordinatorRun, step: Step) -> Found:
    """One step of a round; return what it left behind, which may be another coordinator's."""
    match step:
        case Announce(announcement):
            return announce_round(run, announcement)
        case Collect(announcement, late):
            return collect(run, announcement, late)
        case Decide(announcement, late):
            return admit_updates(run, announcement, late)
        case Recall(announcement, decision):
            return recall_updates(run, announcement, decision)
        case Propose(decision):
            return make_candidate(run, decision)
        case Judge(candidate, asked):
            return judge_candidate(run, candidate, asked)
        case Commit(announcement):
            return close_round(run, announcement)
        case CloseRun(status, code, reason):
            return close_run(run, status, code, reason)
        case _:
            raise AssertionError(step)


def collect(run: CoordinatorRun, announcement: Announcement, late: tuple[str, ...]) -> Collection:
    """Wait for the cohort, all parties at once; then look for what was late in the round before."""
    arrivals = [collect_update.submit(run, announcement, party) for party in announcement.cohort]
    collected = [arrival.result() for arrival in arrivals]
    if late:
        collected += salvage_updates(run, announcement, late, collected)
    return Collection(announcement.round, tuple(collected))


def make_candidate(run: CoordinatorRun, decision: Decision) -> Found:
    """Aggregate, fine-tune, propose.

    What was collected again, when a party took an update back; a refusal, when the average is no model.
    """
    try:
        aggregated = aggregate(run, decision)
    except RunError as error:
        if not (isinstance(error, IntegrityError) or error.code == NOT_FINITE):
            raise
        without = recheck_updates(run, decision)
        if without is not None:
            return without
        if error.code != NOT_FINITE:
            raise
        return refused(run, Verdict(decision.round, {}, None, NO_FINITE_AVERAGE), decision)
    try:
        tuned = fine_tune(run, decision.round, aggregated)
    except TrainingFailed as error:
        if error.code != TRAINING_CANCELLED:
            raise
        fold_interruption(run)  # raises when another coordinator has the run
        if run.state.closed is None:
            raise
        return run.state.closed
    return propose(run, decision.round, tuned)


def judge_candidate(run: CoordinatorRun, candidate: Candidate, asked: tuple[str, ...]) -> Verdict:
    """Let the parties score the candidate while the holdout is scored here; then the gate."""
    scores = {party: collect_evaluation.submit(run, candidate, party) for party in asked}
    holdout = score_holdout(run, candidate)
    evaluations = {party: score.result() for party, score in scores.items()}
    collected = run.state.collected.items if run.state.collected else ()
    verdict = Verdict(candidate.round, evaluations, holdout, judge(run, candidate, collected, evaluations))
    return verdict if verdict.gate.passed else refused(run, verdict, run.state.decision)


def refused(run: CoordinatorRun, verdict: Verdict, decision: Decision | None) -> Verdict:
    """What the gate refused, with the party that the next rounds leave out, if the recipe wants that."""
    if decision is None or not may_drop(run.plan.recipe, run.plan.parties, run.records, decision):
        return verdict
    return replace(verdict, dropped=find_worst(run, decision))
