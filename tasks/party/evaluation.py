"""Scoring the coordinator's candidate on the party's own holdout."""

from prefect import task

from fedmodels.errors import TrainingFailed
from fedmodels.protocol.messages import Announcement, Candidate, Closed, Evaluation, Record
from infra.fault_points import fault_step
from infra.layout import closed_key, evaluation_key, round_key
from infra.waiting import wait_for
from tasks.exchange import create_signed, read_message
from tasks.models import fetch_model
from tasks.party.boundary import sealed
from tasks.party.session import PartySession
from tasks.patience import patient
from tasks.policy import STORE
from tasks.tagging import tagged


@task(task_run_name="evaluate_candidate · {session.party} · round {candidate.round}", **STORE)
@tagged
@sealed("evaluate")
def evaluate_candidate(session: PartySession, candidate: Candidate) -> dict[str, float]:
    """Score the candidate and leave a signed evaluation; or an abstention, for want of holdout or leave.

    A candidate without finite scores is no fault of this party's, and no reason for it to end.
    """
    bench, prepared = session.workbench, session.prepared
    if bench is None:
        raise TrainingFailed(f"Party {session.party} has not loaded the model", fix="join the run first")
    metrics, reason = None, ""
    if not session.policy.allow_evaluation:
        reason = "the party's policy does not allow evaluation"
    elif prepared is None or len(prepared.holdout) == 0:
        reason = "no holdout rows"
    else:
        path, travelled = fetch_model(session.store, candidate.model_sha256, session.models)
        session.bytes_down += travelled
        bench.load(path, candidate.model_sha256)
        try:
            metrics, compute = bench.evaluate(prepared.holdout)
            session.compute.extend(compute)
        except TrainingFailed as error:
            if error.code != "evaluation-not-finite":
                raise
            reason = "the candidate has no finite scores on the holdout"
    evaluation = Evaluation(
        run=session.run,
        round=candidate.round,
        party=session.party,
        model_sha256=candidate.model_sha256,
        metrics=metrics,
        reason=reason,
        compute=session.compute_before_now(),
        bytes_down=session.bytes_down,
    )
    key = evaluation_key(session.party, session.run, candidate.round)
    create_signed(session.store, key, evaluation, session.signing_key)
    return metrics.model_dump() if metrics else {}


@fault_step
def next_candidate(session: PartySession, announcement: Announcement) -> Candidate | None:
    """Wait for the round's candidate, or `None` when the round, or the whole run, closed without one."""
    looks = 0

    @patient
    def look() -> Candidate | Record | Closed | None:
        nonlocal looks
        looks += 1
        if looks % 4 == 0:
            record = read_message(session.store, round_key(session.run, announcement.round, "record"), Record)
            closed = read_message(session.store, closed_key(session.run), Closed)
            if record is not None or closed is not None:
                return record or closed
        return read_message(session.store, round_key(session.run, announcement.round, "candidate"), Candidate)

    timeout = announcement.round_timeout + session.joined_plan.recipe.evaluation_timeout
    found = wait_for(look, timeout=timeout, first_wait=session.poll_seconds)
    return found if isinstance(found, Candidate) else None
