"""A party's part of a run: one warm process that joins once and takes part in every round."""

from contextlib import suppress
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Failed

from fedmodels.errors import (
    DataRefused,
    FedcartError,
    StoreRefused,
    TrainingFailed,
    TransientError,
    write_coded,
)
from fedmodels.identifiers import check_identifier
from fedmodels.protocol.messages import Announcement, Candidate
from fedmodels.protocol.restarts import passes
from infra.settings import load_settings
from tasks.party.artifacts import show_contract
from tasks.party.boundary import sealed, sealed_opening
from tasks.party.data import (
    check_expectations,
    data_changed,
    keep_trained_rows,
    let_old_rows_go,
    prepare_data,
    validate_data,
)
from tasks.party.evaluation import evaluate_candidate, next_candidate
from tasks.party.joining import (
    declare_ready,
    decline,
    find_predecessor,
    holds_lease,
    import_libraries,
    is_over,
    join_run,
    last_closed_round,
    load_model,
    next_announcement,
)
from tasks.party.pinned import await_push, pin_version
from tasks.party.rejoining import has_submitted
from tasks.party.repeating import bring_back_data
from tasks.party.session import PartySession
from tasks.party.submission import sit_out, submit_update
from tasks.party.training import protect_update, train_local
from tasks.tracebacks import silence_tracebacks
from tasks.working_files import leave_closed_run


@flow(name="party-session", persist_result=False, validate_parameters=True)
def party_session(run: str) -> dict[str, int] | State[Any]:
    """Take part in every round of `run` that asks for this party, until the run is closed.

    Which party this is, where its tables lie and which keys it holds stands in the settings of the
    process, not in a parameter. Meets the coordinator only in the bucket.
    """
    silence_tracebacks()
    try:
        with sealed_opening():
            session = PartySession(check_identifier("run", run), load_settings())
        return {"rounds": take_part_in_all(session, str(runtime.flow_run.id))}
    except FedcartError as error:
        return Failed(message=write_coded(error))


@sealed("session")
def take_part_in_all(session: PartySession, session_id: str) -> int:
    """Join the run and stay for all its rounds; return in how many this party took part.

    A session that comes up when its run is over, as those of a stack that was stopped do, ends at once. Once
    the run is over, nothing of it stays on the party's disk but what it keeps of its own rows; a session that
    leaves an open run leaves its models to the next one.
    """
    if is_over(session):
        leave_closed_run(session.store_for_looks, session.workspace, session)
        return 0
    rounds = take_part_in_rounds(session, session_id)
    if is_over(session):
        leave_closed_run(session.store_for_looks, session.workspace, session)
    await_push(session)
    return rounds


def take_part_in_rounds(session: PartySession, session_id: str) -> int:
    """Join the run, and take part until it is over, this session idle too long, or its lease another's."""
    find_predecessor(session)
    import_libraries(session)
    join(session, session_id)
    inspect_data(session)
    declare_ready(session, session_id)
    rounds, done = 0, last_closed_round(session)
    while announcement := next_announcement(session, session_id, after=done):
        if not holds_lease(session, session_id):
            break
        if session.party in announcement.cohort:
            rounds += 1
            if not take_part(session, announcement, session_id):
                break
        done = max(announcement.round, last_closed_round(session))
    return rounds


def join(session: PartySession, session_id: str) -> None:
    """Join the run and load its model; who cannot, or may not, leaves the reason in the lease and ends.

    A fault that passes is no reason to decline: the session has died of it, and is started again.
    Expectations that are wrong are seen here, before the party is ready and any round is announced.
    """
    try:
        join_run(session, session_id)
        if session.joined_plan.repeats:
            bring_back(session)
        with suppress(TrainingFailed):  # a disk's fault, say: whoever prepares the data finds it again
            check_expectations(session)
        load_model(session)
    except FedcartError as error:
        if not passes(error.code):
            with suppress(FedcartError):  # a store that refuses the party refuses its reason too
                decline(session, session_id, error)
        raise


def bring_back(session: PartySession) -> None:
    """Let a run that repeats another one be trained on the tables of that; where it cannot be, say so."""
    try:
        number = bring_back_data(session)
    except FedcartError as error:  # the sentence may name a place on this machine
        get_run_logger().warning("Trained on today's tables; those of then cannot be had: %s", error.code)
    else:
        if number is None:
            get_run_logger().warning(
                "Trained on today's tables; no one version of then is kept here, or may be used"
            )


def inspect_data(session: PartySession) -> None:
    """Prepare, check and show the party's rows; a fault is kept, and told at the next round."""
    session.refused = None
    try:
        prepare_data(session)
        validate_data(session)
    except FedcartError as error:
        session.refused = error
    for step in (show_contract, pin_version, keep_trained_rows):
        with suppress(FedcartError):  # what is only shown, or kept for later, must not cost a round
            step(session)


def take_part(session: PartySession, announcement: Announcement, session_id: str) -> bool:
    """One round: data, training, update; then the candidate's score. A fault sits the round out.

    A session that was started again in the middle of a round finds what the one before it submitted, and
    does not train for it a second time.

    Returns:
        Whether the session stays for the next round.
    """
    session.begin_round()
    if not has_submitted(session, announcement):
        submit(session, announcement, session_id)
    candidate = next_candidate(session, announcement, session_id)
    if candidate == "leave":
        return False
    if candidate != "closed" and candidate.evaluate:
        score(session, candidate)
    return True


def _may_have_passed(refused: FedcartError | None) -> bool:
    """Whether looking at the same data again can end otherwise: what refused them was not their content."""
    return refused is not None and not isinstance(refused, DataRefused)


def score(session: PartySession, candidate: Candidate) -> None:
    """Leave an evaluation or an abstention; without either the round goes on, and so does the session.

    Raises:
        StoreRefused: the store refuses the party.
    """
    try:
        evaluate_candidate(session, candidate)
    except StoreRefused:
        raise
    except FedcartError as error:
        get_run_logger().warning("No evaluation of round %d: %s", candidate.round, error)


def submit(session: PartySession, announcement: Announcement, session_id: str) -> None:
    """Train and submit the update, or the reason why there is none.

    Raises:
        TransientError: the store was away for too long, which is no reason of the party's to sit out: the
            session ends, and is started again.
    """
    try:
        if data_changed(session) or _may_have_passed(session.refused):
            inspect_data(session)
        if session.refused:
            raise session.refused
        trained = train_local(session, announcement)
        with suppress(FedcartError):  # a disk that is fuller than it need be must not cost a round
            let_old_rows_go(session)
        protected = protect_update(session, announcement)
        submit_update(session, announcement, trained, protected, session_id)
    except TransientError:
        raise
    except FedcartError as error:
        sit_out(session, announcement, error, session_id)
