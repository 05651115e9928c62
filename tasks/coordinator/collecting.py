"""Collecting: one task per party and round waits for its receipt and admits its update."""

from collections.abc import Callable, Sequence
from functools import partial

from prefect import task
from prefect.logging import get_run_logger
from prefect.utilities.urls import url_for

from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.collection import CollectionState, collection_state
from fedmodels.protocol.deciding import Collected, changed
from fedmodels.protocol.messages import (
    AcceptedUpdate,
    Announcement,
    Candidate,
    Decision,
    Evaluation,
    Receipt,
    Refusal,
    Signed,
)
from fedmodels.protocol.state import Collection
from infra.keys import verify
from infra.layout import evaluation_key, receipt_key, round_key, update_key
from infra.waiting import patient, wait_answered, wait_for
from tasks.coordinator.admitting import admit, report_of
from tasks.coordinator.interrupting import interrupted
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sessions import SessionWatch, declined, look_again
from tasks.exchange import parse, read_bytes, read_bytes_from_party
from tasks.policy import STORE
from tasks.tagging import tagged
from validation.admission import RECEIPT_LIMIT
from validation.evaluations import open_evaluation


@task(task_run_name="collect_update · {party} · round {announcement.round}", **STORE)
@tagged
def collect_update(run: CoordinatorRun, announcement: Announcement, party: str) -> Collected:
    """Wait for the party's receipt until the round's collection is over, then admit its update."""
    look_again(run, party)
    if told := declined(run, party):
        run.watch.arrive(party)
        run.watch.refuse(party)
        refusal = Refusal(party=party, code=told[0], reason=told[1])
        return Collected(party=party, refusal=refusal)
    _link_session(run, party)
    key = receipt_key(party, run.run, announcement.round)
    session = SessionWatch(run, party)
    envelope = _wait(run, announcement, session, lambda: _read(run, key)) or _in_time(
        run, announcement, party, key
    )
    if envelope is None:
        return _without_update(run, party, session)
    run.watch.arrive(party)
    found = admit(run, announcement, party, envelope)
    if found.refusal:
        run.watch.refuse(party)
    return found


@task(task_run_name="salvage_updates · round {announcement.round}", **STORE)
@tagged
def salvage_updates(
    run: CoordinatorRun, announcement: Announcement, late: tuple[str, ...], collected: Sequence[Collected]
) -> list[Collected]:
    """Receipts of the round before that came after its decision, admitted as of that round."""
    before = announcement_before(run, announcement)
    fresh = {item.party for item in collected if item.refusal is None}
    found = []
    for party in late:
        envelope = _read(run, receipt_key(party, run.run, before.round))
        if envelope is None:
            continue
        if party in fresh:
            reason = (
                f"Party {party} has a newer update, so its late one of round {before.round} does not count"
            )
            refusal = Refusal(party=party, code="duplicate", reason=reason, round=before.round)
            found.append(Collected(party=party, refusal=refusal, round=before.round))
        else:
            found.append(admit(run, before, party, envelope, salvaged=True))
    return found


@task(task_run_name="recall_updates · round {announcement.round}", **STORE)
@tagged
def recall_updates(run: CoordinatorRun, announcement: Announcement, decision: Decision) -> Collection:
    """After a resume: what the standing decision counts, read again and held against its hashes.

    A receipt that is not the one that the decision pins any more comes back as a refusal.
    """
    recalled = [_recall_refusal(run, refusal, announcement) for refusal in decision.refused]
    recalled += [_recall(run, update, announcement.round) for update in decision.accepted]
    return Collection(announcement.round, tuple(sorted(recalled, key=lambda item: item.party)))


@task(task_run_name="recheck_updates · round {decision.round}", **STORE)
@tagged
def recheck_updates(run: CoordinatorRun, decision: Decision) -> Collection | None:
    """After an aggregation that failed: what was collected, without the updates that changed since.

    Returns:
        `None` when every update is what the decision pins, and something else is broken.
    """
    lost = {
        (update.party, update.round)
        for update in decision.accepted
        if not run.store.holds(update_key(update.party, update.update_sha256), update.update_sha256)
    }
    collected = run.state.collected
    if not lost or collected is None:
        return None
    items = (
        changed(item.party, item.round) if item.refusal is None and (item.party, item.round) in lost else item
        for item in collected.items
    )
    return Collection(decision.round, tuple(items))


@task(task_run_name="collect_evaluation · {party} · round {candidate.round}", **STORE)
@tagged
def collect_evaluation(run: CoordinatorRun, candidate: Candidate, party: str) -> Evaluation | None:
    """Wait for the party's scores of the candidate; `None` when they do not come or are not acceptable.

    Raises:
        StoreUnavailable: the store is away for longer than an outage; until then nobody abstains for it.
    """
    if party in run.declined:
        return None
    key = evaluation_key(party, run.run, candidate.round)
    session = SessionWatch(run, party)

    def look() -> bytes | bool | None:
        return interrupted(run) or _read(run, key) or session.lost() is not None or None

    found = wait_answered(look, timeout=candidate.evaluation_timeout, first_wait=run.poll_seconds)
    evaluation = None
    if isinstance(found, bytes):
        evaluation = open_evaluation(found, candidate, party, partial(verify, run.plan.parties[party]))
    if evaluation is not None:
        run.watch.computed_before_now(evaluation.compute)
    return evaluation


def _read(run: CoordinatorRun, key: str) -> bytes | None:
    return read_bytes_from_party(run.store, key, RECEIPT_LIMIT)


def _recall(run: CoordinatorRun, update: AcceptedUpdate, number: int) -> Collected:
    key = receipt_key(update.party, run.run, update.round or number)
    envelope = _read(run, key)
    if envelope is None or sha256_hex(envelope) != update.receipt_sha256:
        return changed(update.party, update.round)
    receipt = parse(Receipt, parse(Signed, envelope, key).payload.encode(), key)
    return Collected(
        party=update.party, receipt=receipt, receipt_sha256=update.receipt_sha256, round=update.round
    )


def _recall_refusal(run: CoordinatorRun, refusal: Refusal, announcement: Announcement) -> Collected:
    """What stands in the decision, with the counts that the party's receipt still holds."""
    report = None
    if refusal.round is None:
        envelope = _read(run, receipt_key(refusal.party, run.run, announcement.round))
        report = report_of(run, announcement, refusal.party, envelope) if envelope else None
    return Collected(party=refusal.party, refusal=refusal, round=refusal.round, report=report)


def announcement_before(run: CoordinatorRun, announcement: Announcement) -> Announcement:
    """The announcement of the round before: its cohort and its base are what a late receipt answers."""
    key = round_key(run.run, announcement.round - 1, "announcement")
    return parse(Announcement, read_bytes(run.store, key) or b"", key)


def _standing(run: CoordinatorRun, announcement: Announcement) -> CollectionState:
    recipe = run.plan.recipe
    return collection_state(
        announcement.cohort,
        run.watch.arrived(),
        run.watch.elapsed(),
        quorum=recipe.min_available_parties,
        round_timeout=announcement.round_timeout,
        grace=recipe.grace_limit,
        sat_out=run.watch.refused(),
        resumed_at=run.watch.resumed_at,
    )


def _wait(
    run: CoordinatorRun, announcement: Announcement, session: SessionWatch, look: Callable[[], bytes | None]
) -> bytes | None:
    """Look until the receipt is there, the session is lost, or the round collects no longer."""

    def found_or_over() -> bytes | bool | None:
        found = look()
        if found:
            return found
        over = _standing(run, announcement).status != "waiting"
        return over or interrupted(run) or session.lost() is not None or None

    longest = announcement.round_timeout + run.plan.recipe.grace_limit
    found = wait_for(patient(found_or_over), timeout=longest, first_wait=run.poll_seconds)
    return found if isinstance(found, bytes) else None


def _in_time(run: CoordinatorRun, announcement: Announcement, party: str, key: str) -> bytes | None:
    """The receipt that is there after all, if by the store's clock it came before the collection was over."""
    age, envelope = run.store.age(key), _read(run, key)
    if age is None or envelope is None:
        return None
    run.watch.arrive(party, seconds_ago=age)
    return envelope if party in _standing(run, announcement).present else None


def _without_update(run: CoordinatorRun, party: str, session: SessionWatch) -> Collected:
    """The refusal of a party that submitted nothing in time, with the reason that is known."""
    loss = session.known_loss
    if loss is not None:
        code, reason = loss
    elif run.watch.resumed_at is not None:
        code, reason = "late-after-resume", f"Party {party} submitted nothing after the run was resumed"
    else:
        code, reason = "late", f"Party {party} submitted nothing before the round was over"
    return Collected(party=party, refusal=Refusal(party=party, code=code, reason=reason))


def _link_session(run: CoordinatorRun, party: str) -> None:
    """Let a person go from this task to the flow run in which the party works."""
    if flow_run_id := run.sessions.get(party):
        url = url_for("flow-run", obj_id=flow_run_id)
        get_run_logger().info("Waiting for %s: %s", party, url or flow_run_id)
