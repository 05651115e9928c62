"""Scoring the coordinator's candidate on the party's own holdout, and beside it the champion.

A holdout changes with the data, so that scores of two runs are of different rows. What a release compares are
scores of both models on the same rows, which the party signs together.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from prefect import task

from fedmodels.errors import (
    FedcartError,
    InputError,
    StoreRefused,
    TrainingFailed,
    TransientError,
    write_coded,
)
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    ChampionScore,
    Evaluation,
    Metrics,
    Plan,
    StandingChampion,
)
from infra.fault_points import fault_step
from infra.layout import closed_key, evaluation_key, round_key
from infra.waiting import patient, wait_for
from tasks.exchange import create_signed, read_message
from tasks.models import fetch_model
from tasks.party.boundary import sealed
from tasks.party.joining import LOOKS_PER_LEAVING_CHECK, has_lease
from tasks.party.session import PartySession
from tasks.party.watchdog import ended_after
from tasks.policy import STORE
from tasks.reading import read_plan
from tasks.tagging import tagged
from tasks.workbenches import open_workbench

if TYPE_CHECKING:
    from fedmodels.workbench import Workbench


@task(task_run_name="evaluate_candidate · {session.party} · round {candidate.round}", **STORE)
@tagged
@sealed("evaluate")
@ended_after(lambda recipe: recipe.scoring_limit)
def evaluate_candidate(session: PartySession, candidate: Candidate) -> dict[str, float]:
    """Score the candidate and leave a signed evaluation, or an abstention that says why there is none.

    The champion is scored first, once for each holdout and champion, so that the candidate stays in memory.

    Raises:
        TransientError: the store does not answer; the next try scores again.
        StoreRefused: the store refuses the party, so its abstention too.
    """
    metrics, reason, champion = None, why_abstain(session), None
    if not reason:
        champion = score_champion(session, candidate.champion) if candidate.champion else None
        metrics, reason = _told(lambda: _score(session, session.workbench, candidate.model_sha256))
    evaluation = Evaluation(
        run=session.run,
        round=candidate.round,
        party=session.party,
        model_sha256=candidate.model_sha256,
        metrics=metrics,
        reason=reason,
        champion=champion if metrics else None,
        compute=session.compute_before_now(),
        bytes_down=session.bytes_down,
    )
    key = evaluation_key(session.party, session.run, candidate.round)
    create_signed(session.store, key, evaluation, session.signing_key)
    return metrics.model_dump() if metrics else {}


def why_abstain(session: PartySession) -> str:
    """Why the party does not score candidates in this round; empty when it does."""
    if not session.policy.allow_evaluation:
        return "the party's policy does not allow evaluation"
    if session.refused is not None:
        return write_coded(session.refused)
    if session.prepared is None or len(session.prepared.holdout) == 0:
        return "no holdout rows"
    return ""


def score_champion(session: PartySession, champion: StandingChampion) -> ChampionScore:
    """The champion's scores on the holdout as it is now, or why there are none: no fault costs the vote.

    Raises:
        TransientError: the store does not answer.
        StoreRefused: the store refuses the party.
    """
    assert session.prepared is not None
    holdout, known = session.prepared.holdout, session.champion_score
    if known and known[0] is holdout and known[1].model_sha256 == champion.model_sha256:
        return known[1]
    metrics, reason = _told(
        lambda: _score(session, _champions_workbench(session, champion), champion.model_sha256)
    )
    score = ChampionScore(model_sha256=champion.model_sha256, metrics=metrics, reason=reason)
    session.champion_score = holdout, score
    return score


def _told(score: Callable[[], Metrics]) -> tuple[Metrics | None, str]:
    """Scores, or code and sentence of the error for which there are none.

    Raises:
        TransientError: the store does not answer.
        StoreRefused: the store refuses the party.
    """
    try:
        return score(), ""
    except (TransientError, StoreRefused):
        raise
    except FedcartError as error:
        return None, write_coded(error)


@sealed("score")
def _champions_workbench(session: PartySession, champion: StandingChampion) -> "Workbench | None":
    """What holds the champion: the workbench of this run where the model is built alike, else one of its own.

    Raises:
        InputError: `labels-differ`: it chooses between other labels than those of this run.
    """
    own, plan = session.joined_plan, read_plan(session.store, champion.run)
    if plan.labels != own.labels:
        raise InputError(
            f"The champion of run {champion.run} chooses between other labels than the run {own.run}",
            fix="it cannot be compared",
            code="labels-differ",
        )
    if _built(plan) == _built(own):
        return session.workbench
    return open_workbench(session.store, plan, session.cache, session.threads)


def _built(plan: Plan) -> tuple[object, ...]:
    """What a workbench is built from."""
    return plan.architecture_sha256, plan.parameters, plan.recipe.model.max_length


@sealed("score")
def _score(session: PartySession, bench: "Workbench | None", model_sha256: str) -> Metrics:
    prepared = session.prepared
    if bench is None or prepared is None:
        raise TrainingFailed(f"Party {session.party} has not loaded model and data", fix="join the run first")
    path, travelled = fetch_model(session.store, model_sha256, session.models)
    session.bytes_down += travelled
    bench.load(path, model_sha256)
    metrics, compute = bench.evaluate(prepared.holdout)
    session.compute.extend(compute)
    return metrics


@fault_step
def next_candidate(
    session: PartySession, announcement: Announcement, session_id: str
) -> Candidate | Literal["closed", "leave"]:
    """Wait for the candidate of a round, for as long as the round is open and the session has the lease.

    A coordinator may be away for long and be resumed: it asks the sessions that it finds, and a round that
    nobody scores has only the coordinator's own rows in its gate.

    Returns:
        Its candidate; `closed` when the round, or the whole run, was closed, so that a score would come too
        late; `leave` when another session of the party has the lease, or when nothing came for
        `session_idle_timeout` beyond the longest that a round and its scores take.
    """
    looks, key = 0, round_key(session.run, announcement.round, "candidate")

    def look() -> Candidate | Literal["closed", "leave"] | None:
        nonlocal looks
        looks += 1
        found = read_message(session.store, key, Candidate)
        if found is None and looks % LOOKS_PER_LEAVING_CHECK:
            return None
        if _is_closed(session, announcement):
            return "closed"
        return found if has_lease(session, session_id) else "leave"

    recipe = session.joined_plan.recipe
    timeout = announcement.round_timeout + recipe.evaluation_timeout + recipe.session_idle_timeout
    return wait_for(patient(look), timeout=timeout, first_wait=session.poll_seconds) or "leave"


def _is_closed(session: PartySession, announcement: Announcement) -> bool:
    """Whether the round has its record, or the run is over."""
    record = round_key(session.run, announcement.round, "record")
    return session.store.exists(record) or session.store.exists(closed_key(session.run))
