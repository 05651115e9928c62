"""Scoring the coordinator's candidate on the party's own holdout."""

from prefect import task

from fedmodels.errors import FedcartError, StoreRefused, TrainingFailed, TransientError, write_coded
from fedmodels.protocol.messages import Announcement, Candidate, Closed, Evaluation, Metrics, Record
from infra.fault_points import fault_step
from infra.layout import closed_key, evaluation_key, round_key
from infra.waiting import patient, wait_for
from tasks.exchange import create_signed, read_message
from tasks.models import fetch_model
from tasks.party.boundary import sealed
from tasks.party.session import PartySession
from tasks.policy import STORE
from tasks.tagging import tagged


@task(task_run_name="evaluate_candidate · {session.party} · round {candidate.round}", **STORE)
@tagged
@sealed("evaluate")
def evaluate_candidate(session: PartySession, candidate: Candidate) -> dict[str, float]:
    """Score the candidate and leave a signed evaluation, or an abstention that says why there is none.

    Raises:
        TransientError: the store does not answer; the next try scores again.
        StoreRefused: the store refuses the party, so its abstention too.
    """
    metrics, reason = None, why_abstain(session)
    if not reason:
        try:
            metrics = _score(session, candidate)
        except (TransientError, StoreRefused):
            raise
        except FedcartError as error:
            reason = write_coded(error)
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


def why_abstain(session: PartySession) -> str:
    """Why the party does not score candidates in this round; empty when it does."""
    if not session.policy.allow_evaluation:
        return "the party's policy does not allow evaluation"
    if session.refused is not None:
        return write_coded(session.refused)
    if session.prepared is None or len(session.prepared.holdout) == 0:
        return "no holdout rows"
    return ""


@sealed("score")
def _score(session: PartySession, candidate: Candidate) -> Metrics:
    bench, prepared = session.workbench, session.prepared
    if bench is None or prepared is None:
        raise TrainingFailed(f"Party {session.party} has not loaded model and data", fix="join the run first")
    path, travelled = fetch_model(session.store, candidate.model_sha256, session.models)
    session.bytes_down += travelled
    bench.load(path, candidate.model_sha256)
    metrics, compute = bench.evaluate(prepared.holdout)
    session.compute.extend(compute)
    return metrics


@fault_step
def next_candidate(session: PartySession, announcement: Announcement) -> Candidate | None:
    """Wait for the round's candidate, or `None` when the round, or the whole run, closed without one."""
    looks = 0

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
    found = wait_for(patient(look), timeout=timeout, first_wait=session.poll_seconds)
    return found if isinstance(found, Candidate) else None
