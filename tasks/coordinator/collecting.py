"""Collecting: one task per party and round waits for its receipt and admits its update."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from prefect import task
from prefect.logging import get_run_logger
from prefect.utilities.urls import url_for
from pydantic import BaseModel, ConfigDict

from fedmodels.errors import UpdateRefused
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.collection import collection_state
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    Decision,
    Evaluation,
    Receipt,
    Refusal,
    Signed,
)
from infra.keys import verify
from infra.layout import evaluation_key, receipt_key, update_key
from infra.waiting import wait_for
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sessions import session_lost
from tasks.exchange import parse, read_message
from tasks.policy import STORE
from tasks.tagging import tagged
from validation.admission import Expected, check_receipt, check_update

SESSION_CHECK_SECONDS = 10.0
Found = TypeVar("Found")


class Collected(BaseModel):
    """What came of one party in one round: an admitted receipt, or a refusal."""

    model_config = ConfigDict(frozen=True)

    party: str
    receipt: Receipt | None = None
    receipt_sha256: str | None = None
    refusal: Refusal | None = None


@task(task_run_name="collect_update · {party} · round {announcement.round}", **STORE)
@tagged
def collect_update(run: CoordinatorRun, announcement: Announcement, party: str) -> Collected:
    """Wait for the party's receipt until the round's collection is over, then admit its update."""
    if lease := run.declined.get(party):
        run.watch.arrive(party)
        run.watch.refuse(party)
        refusal = Refusal(party=party, code=str(lease.refusal), reason=lease.reason)
        return Collected(party=party, refusal=refusal)
    _link_session(run, party)
    key = receipt_key(party, run.run, announcement.round)
    found = _wait(run, announcement, party, lambda: run.store.read(key))
    if found is None:
        code, reason = _why_missing(run, party)
        return Collected(party=party, refusal=Refusal(party=party, code=code, reason=reason))
    run.watch.arrive(party)
    try:
        return _admit(run, announcement, party, found)
    except UpdateRefused as error:
        run.watch.refuse(party)
        return Collected(party=party, refusal=Refusal(party=party, code=error.code, reason=str(error)))


@task(task_run_name="recall_updates · round {announcement.round}", **STORE)
@tagged
def recall_updates(run: CoordinatorRun, announcement: Announcement, decision: Decision) -> list[Collected]:
    """After a resume: what the standing decision counts, read again and held against its hashes.

    Raises:
        IntegrityError: a receipt is not the one that the decision pins.
    """
    recalled = [Collected(party=refusal.party, refusal=refusal) for refusal in decision.refused]
    for update in decision.accepted:
        key = receipt_key(update.party, run.run, announcement.round)
        envelope = run.store.read_blob(key, update.receipt_sha256)
        receipt = parse(Receipt, parse(Signed, envelope, key).payload.encode(), key)
        recalled.append(Collected(party=update.party, receipt=receipt, receipt_sha256=update.receipt_sha256))
    return sorted(recalled, key=lambda item: item.party)


@task(task_run_name="collect_evaluation · {party} · round {candidate.round}", **STORE)
@tagged
def collect_evaluation(run: CoordinatorRun, candidate: Candidate, party: str) -> Evaluation | None:
    """Wait for the party's scores of the candidate; `None` when they do not come or do not verify."""
    if party in run.declined:
        return None
    key = evaluation_key(party, run.run, candidate.round)

    def look() -> Signed | None:
        return read_message(run.store, key, Signed)

    found = wait_for(
        _or_gone(run, party, look), timeout=candidate.evaluation_timeout, first_wait=run.poll_seconds
    )
    if not isinstance(found, Signed):
        return None
    if not verify(run.plan.parties[party], found.payload.encode(), found.signature):
        return None
    evaluation = parse(Evaluation, found.payload.encode(), key)
    if (evaluation.run, evaluation.round, evaluation.party) != (run.run, candidate.round, party):
        return None
    if evaluation.model_sha256 != candidate.model_sha256:
        return None
    run.watch.computed_before_now(evaluation.compute)
    return evaluation


def _admit(run: CoordinatorRun, announcement: Announcement, party: str, envelope: bytes) -> Collected:
    """Check the receipt, then every byte of the update, in one pass over the stream."""
    plan = run.plan
    expected = Expected(
        run=run.run,
        round=announcement.round,
        party=party,
        base_sha256=announcement.model_sha256,
        parameters=plan.parameters,
        update_dtype=plan.recipe.update.dtype,
        clipping_norm=plan.recipe.update.clipping_norm,
    )
    receipt = check_receipt(envelope, expected, partial(verify, plan.parties[party]))
    run.watch.computed_before_now(receipt.compute)
    assert receipt.update_sha256 is not None
    with run.store.open(update_key(party, receipt.update_sha256)) as stream:
        check_update(receipt, expected, stream)
    return Collected(party=party, receipt=receipt, receipt_sha256=sha256_hex(envelope))


def _wait(
    run: CoordinatorRun, announcement: Announcement, party: str, look: Callable[[], bytes | None]
) -> bytes | None:
    """Look until the receipt is there, the session is gone, or the round collects no longer."""
    recipe = run.plan.recipe

    def over() -> bool:
        state = collection_state(
            announcement.cohort,
            run.watch.arrived(),
            run.watch.elapsed(),
            quorum=recipe.min_available_parties,
            round_timeout=announcement.round_timeout,
            grace=recipe.grace,
            sat_out=run.watch.refused(),
        )
        return state.status != "waiting"

    def found_or_over() -> bytes | bool | None:
        return look() or over() or None

    found = wait_for(
        _or_gone(run, party, found_or_over), timeout=announcement.round_timeout, first_wait=run.poll_seconds
    )
    return found if isinstance(found, bytes) else look()


def _or_gone(
    run: CoordinatorRun, party: str, look: Callable[[], Found | None]
) -> Callable[[], Found | bool | None]:
    """Look; and every few seconds ask Prefect whether the party's session still lives."""
    checked = time.monotonic()

    def found_or_gone() -> Found | bool | None:
        nonlocal checked
        found = look()
        if found is None and time.monotonic() - checked > SESSION_CHECK_SECONDS:
            checked = time.monotonic()
            return session_lost(run, party) or None
        return found

    return found_or_gone


def _link_session(run: CoordinatorRun, party: str) -> None:
    """Let a person go from this task to the flow run in which the party works."""
    if flow_run_id := run.sessions.get(party):
        url = url_for("flow-run", obj_id=flow_run_id)
        get_run_logger().info("Waiting for %s: %s", party, url or flow_run_id)


def _why_missing(run: CoordinatorRun, party: str) -> tuple[str, str]:
    if session_lost(run, party):
        return "session-died", f"The session of party {party} ended before it submitted an update"
    return "late", f"Party {party} submitted nothing before the round was over"
