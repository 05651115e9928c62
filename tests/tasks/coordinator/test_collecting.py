"""Whatever a party leaves in the store, the coordinator answers it with a refusal, or with nothing."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings

from fedmodels.aggregation.fedavg import fedavg_weights
from fedmodels.errors import IntegrityError, QuorumMissed, StoreUnavailable
from fedmodels.protocol import restarts
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.deciding import decide
from fedmodels.protocol.messages import RoundSeconds, Session
from fedmodels.protocol.recording import record_of
from fedmodels.protocol.state import Collection, RunState
from fedmodels.protocol.summary import run_summary
from infra.layout import evaluation_key, receipt_key, session_key, update_key
from infra.waiting import wait_for
from tasks.coordinator import collecting, sessions
from tasks.coordinator.admitting import admit
from tasks.coordinator.collecting import collect_evaluation, collect_update, recall_updates
from tasks.coordinator.run import RoundWatch
from tasks.coordinator.sessions import LEASE_LIMIT, SessionWatch, await_sessions, start_session
from tasks.exchange import create_signed
from tests.tasks.verifying.finished_run import REFUSED
from validation.admission import RECEIPT_LIMIT

PARTY = "shop-a"
LEASE = Session(run="r", party=PARTY, session="0" * 32, ready=True)
GARBAGE = {
    "no JSON": b"\xff\xfe{",
    "empty": b"",
    "another message": b'{"surprise": 1}',
    "nested without end": b"[" * 100_000,
    "a payload that is none": b'{"payload": "x", "signature": "x"}',
    "a lone surrogate": b'{"payload": "\\ud800", "signature": "eA=="}',
    "longer than any": b" " * (RECEIPT_LIMIT + 1),
}


@pytest.fixture
def candidate(played):
    announcement = played.announce(1)
    for party in announcement.cohort:
        played.submit(party, 1)
    return played.propose_anything(played.decide(1, dict.fromkeys(announcement.cohort, 1), {}))


def test_what_is_no_evaluation_is_as_good_as_none(played, run, candidate):
    key = evaluation_key(PARTY, run.run, 1)
    asked = candidate.model_copy(update={"evaluation_timeout": 0.3})
    for name, data in GARBAGE.items():
        played.stores[PARTY].put_blob(key, data)
        assert collect_evaluation.fn(run, asked, PARTY) is None, name


def test_another_message_that_the_party_signed_is_as_good_as_none(played, run, candidate):
    create_signed(played.stores[PARTY], evaluation_key(PARTY, run.run, 1), LEASE, played.keys[PARTY])
    assert collect_evaluation.fn(run, candidate, PARTY) is None


def test_a_silent_prefect_server_keeps_nobody_from_seeing_what_comes(played, run, candidate):
    """It takes the look at the party's session and says nothing; what arrives then is seen soon."""
    run.sessions[PARTY] = str(uuid4())
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as thread:

        def sent_once_asked():
            with silent.accept()[0]:
                sent, when = played.evaluate(candidate, PARTY, 0.7), time.monotonic()
                assert seen.wait(60)
            return sent, when

        seen, sending = Event(), thread.submit(sent_once_asked)
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{silent.getsockname()[1]}/api"}):
            found = collect_evaluation.fn(run, candidate, PARTY)
        now = time.monotonic()
        seen.set()
        sent, when = sending.result()
    assert found == sent
    assert now - when < 10


def test_a_wrong_hash_beside_an_object_holds_nobody_up(played, run, candidate):
    """A party can put any hash with its objects: it is its signature that counts."""
    store, key = played.stores[PARTY], evaluation_key(PARTY, run.run, 1)
    sent = played.evaluate(candidate, PARTY, 0.7)
    data, lying = store.read(key), {"sha256": "0" * 64}
    store.client.put_object(Bucket=store.bucket, Key=key, Body=data, Metadata=lying)
    with pytest.raises(IntegrityError):
        store.read(key)
    assert collect_evaluation.fn(run, candidate, PARTY) == sent
    lease = session_key(PARTY, run.run)
    store.client.put_object(Bucket=store.bucket, Key=lease, Body=canonical_json(LEASE), Metadata=lying)
    assert sessions.standing_lease(run, PARTY) == LEASE


def test_a_good_evaluation_counts(played, run, candidate):
    sent = played.evaluate(candidate, PARTY, 0.7)
    assert collect_evaluation.fn(run, candidate, PARTY) == sent


def test_garbage_does_not_hold_up_the_round(played, run, candidate):
    played.stores[PARTY].put_blob(evaluation_key(PARTY, run.run, 1), b"garbage")
    begin = time.monotonic()
    assert collect_evaluation.fn(run, candidate, PARTY) is None
    assert time.monotonic() - begin < 5.0 < candidate.evaluation_timeout


def test_an_update_that_is_deleted_is_refused(played, run):
    announcement = played.announce(1)
    played.submit(PARTY, 1)
    digest = played.updates[PARTY, 1].update_sha256
    played.stores[PARTY].delete(update_key(PARTY, digest))
    assert collect_update.fn(run, announcement, PARTY).refusal.code == "update-missing"


def test_a_receipt_without_end_is_refused_and_not_fetched(played, run):
    announcement = played.announce(1)
    played.stores[PARTY].put_blob(receipt_key(PARTY, run.run, 1), b" " * (RECEIPT_LIMIT + 1))
    assert collect_update.fn(run, announcement, PARTY).refusal.code == "receipt-too-large"


BAD_LEASES = {
    **GARBAGE,
    "no flow run": canonical_json(LEASE.model_copy(update={"session": "../../etc"})),
    "a lease without end": canonical_json(LEASE.model_copy(update={"reason": "x" * LEASE_LIMIT})),
}


def test_what_is_no_lease_is_as_good_as_none(played, run, monkeypatch):
    monkeypatch.setattr(sessions, "start_party_session", lambda name, party: f"new session of {party}")
    hasty = run.plan.recipe.model_copy(update={"join_timeout": 0.1})
    run.plan.__dict__["recipe"] = hasty
    for name, data in BAD_LEASES.items():
        played.stores[PARTY].put_blob(session_key(PARTY, run.run), data)
        assert start_session.fn(run, PARTY) == f"new session of {PARTY}", name
        assert await_sessions.fn(run, (PARTY,), 0) == (), name


@pytest.fixture
def outage(stopped_clock, monkeypatch):
    """Seconds go by while a coordinator waits for the store: it is away from the second to the 180th."""
    clock = stopped_clock("infra.waiting", "tasks.coordinator.sessions")

    def read_from(module, name, found):
        def read(*_arguments):
            if 1.0 <= clock.now < 181.0:
                raise StoreUnavailable("The object store does not answer")
            return found if clock.now >= 182.0 else None

        monkeypatch.setattr(module, name, read)
        return clock

    return read_from


def test_a_store_that_is_away_while_parties_join_makes_nobody_miss(run, outage, monkeypatch):
    run.plan.__dict__["recipe"] = run.plan.recipe.model_copy(update={"join_timeout": 5.0})
    monkeypatch.setattr(sessions, "flow_run_state", lambda _session: "RUNNING")
    run.sessions[PARTY] = LEASE.session
    clock = outage(sessions, "standing_lease", LEASE)
    assert await_sessions.fn(run, (PARTY,), 1) == (PARTY,)
    assert 182.0 <= clock.now <= 184.0


def test_nor_is_a_score_missed_that_comes_when_the_store_is_back(played, run, candidate, outage, monkeypatch):
    monkeypatch.setattr(sessions, "flow_run_state", lambda _session: "RUNNING")
    played.evaluate(candidate, PARTY, 0.7)
    scores = run.store.read(evaluation_key(PARTY, run.run, 1))
    asked = candidate.model_copy(update={"evaluation_timeout": 5.0})
    outage(collecting, "_read", scores)
    found = collect_evaluation.fn(run, asked, PARTY)
    assert found is not None
    assert found.metrics is not None


def test_the_grace_of_a_resume_begins_when_its_sessions_can_answer(played, run, stopped_clock, monkeypatch):
    """They died with the coordinator, the round was over then, and they need a minute to come up."""
    clock = stopped_clock("infra.waiting", "tasks.coordinator.sessions", "tasks.coordinator.run")
    hasty = run.plan.recipe.model_copy(update={"grace": 10.0, "round_timeout": 60.0})
    run.plan.__dict__["recipe"] = hasty
    announced = played.announce(1, (PARTY,)).model_copy(update={"round_timeout": 60.0})
    run.watch = RoundWatch(100.0, resumed=True)
    run.sessions[PARTY] = LEASE.session
    monkeypatch.setattr(sessions, "flow_run_state", lambda _session: "RUNNING")
    monkeypatch.setattr(sessions, "standing_lease", lambda *_: LEASE if clock.now >= 60.0 else None)
    assert await_sessions.fn(run, (PARTY,), 1) == (PARTY,)
    standing = collecting._standing(run, announced)
    assert (standing.status, standing.seconds_left) == ("waiting", pytest.approx(10.0))
    clock.sleep(9.0)
    run.watch.arrive(PARTY)
    assert collecting._standing(run, announced).present == (PARTY,)


def test_a_round_that_is_announced_has_no_such_grace():
    fresh = RoundWatch()
    fresh.answerable()
    assert fresh.resumed_at is None


def test_a_lease_that_is_one_is_ready(played, run):
    played.stores[PARTY].put_blob(session_key(PARTY, run.run), canonical_json(LEASE))
    run.sessions[PARTY] = LEASE.session
    assert await_sessions.fn(run, (PARTY,), 1) == (PARTY,)


def test_no_round_begins_that_can_have_no_quorum(played, run, monkeypatch):
    """A party whose data were refused stays, and is looked at again by the session of a resume."""
    refusing = LEASE.model_copy(
        update={"refusal": "table-column-missing", "reason": "It has no column text."}
    )
    played.stores[PARTY].put_blob(session_key(PARTY, run.run), canonical_json(refusing))
    run.sessions[PARTY] = LEASE.session
    assert await_sessions.fn(run, (PARTY,), 0) == (PARTY,)
    assert run.declined == {}
    with pytest.raises(
        QuorumMissed, match=r"0 of 1 parties can take part, 1 are required \(shop-a: "
    ) as caught:
        await_sessions.fn(run, (PARTY,), 1)
    assert "table-column-missing, It has no column text)" in str(caught.value)
    assert "fedcart data check --party shop-a" in str(caught.value)
    assert f"fedcart train --resume {run.run}" in str(caught.value)
    monkeypatch.setattr(sessions, "flow_run_state", lambda _session: "RUNNING")
    monkeypatch.setattr(sessions, "start_party_session", lambda name, party: f"new session of {party}")
    assert start_session.fn(run, PARTY) == f"new session of {PARTY}"


OTHER = "0" * 31 + "1"
"""Id of the session that is started when there is one already."""
DECLINING = LEASE.model_copy(
    update={"ready": False, "refusal": "policy-forbids", "reason": "It is forbidden."}
)


@pytest.fixture
def prefect(monkeypatch):
    """A server with a session that has failed; so does the one that is started after it."""
    server = SimpleNamespace(states={LEASE.session: "FAILED", OTHER: "FAILED"}, started=[])

    def start(_run, party):
        server.started.append(party)
        return OTHER

    monkeypatch.setattr(sessions, "start_party_session", start)
    monkeypatch.setattr(sessions, "flow_run_state", lambda session: server.states.get(session, "RUNNING"))
    monkeypatch.setattr(sessions, "flow_run_outcome", lambda _session: "policy-forbids: It is forbidden.")
    with disable_run_logger():
        yield server


@pytest.fixture
def declining(played, run, prefect):
    """One party of the run has declined when its coordinator waited for all."""
    played.stores[PARTY].put_blob(session_key(PARTY, run.run), canonical_json(DECLINING))
    run.sessions[PARTY] = LEASE.session
    assert await_sessions.fn(run, (PARTY,), 0) == ()
    return run


def test_a_party_that_declined_is_started_once_more_in_the_next_round(played, declining, prefect):
    announcement = played.announce(1)
    assert collect_update.fn(declining, announcement, PARTY).refusal.code == "policy-forbids"
    assert prefect.started == [], "it has just been asked"
    for party in announcement.cohort:
        played.submit(party, 1)
    others = dict.fromkeys(announcement.cohort[1:], 1)
    played.close_round(played.decide(1, others, {PARTY: "policy-forbids"}), None, {})
    declining.hold(RunState(plan=played.plan, head=played.head, records=tuple(played.records)), "version")
    announcement = played.announce(2)
    refused = collect_update.fn(declining, announcement, PARTY).refusal
    assert (refused.code, prefect.started) == ("policy-forbids", [PARTY])
    prefect.states.clear()
    played.submit(PARTY, 2, true_norm=True)
    assert collect_update.fn(declining, announcement, PARTY).refusal is None


def test_another_session_that_took_the_lease_of_one_that_declined_is_waited_for(played, declining, prefect):
    other = LEASE.model_copy(update={"session": OTHER})
    played.stores[PARTY].put_blob(session_key(PARTY, declining.run), canonical_json(other))
    announcement = played.announce(1)
    played.submit(PARTY, 1, true_norm=True)
    assert collect_update.fn(declining, announcement, PARTY).refusal is None
    assert declining.sessions[PARTY] == other.session


def test_a_party_whose_disk_stays_full_is_given_up_with_its_own_code(run, prefect, monkeypatch):
    """Each restart meets the same fault; no second has to pass between two of them here."""
    monkeypatch.setattr(sessions, "flow_run_outcome", lambda _session: "disk-full: The disk is full.")
    monkeypatch.setattr(restarts, "FIRST_WAIT_S", 0.0)
    run.sessions[PARTY] = LEASE.session
    watch = SessionWatch(run, PARTY, every=0.0)
    code, reason = wait_for(watch.lost, timeout=10.0)
    assert (code, prefect.started) == ("disk-full", [PARTY] * 3)
    assert reason.endswith("died, and 3 restarts did not help (disk-full: The disk is full.)")


def test_what_cleaning_changed_of_refused_data_reaches_the_runs_document(played, run):
    """Also when the coordinator that had collected it is gone; and nothing but counts and names."""
    announcement = played.announce(1)
    for party in announcement.cohort:
        played.submit(party, 1, "contract-failed" if party == PARTY else None, true_norm=True)
    collected = [collect_update.fn(run, announcement, party) for party in announcement.cohort]
    assert collected[0].refusal.code == "contract-failed"
    assert collected[0].report == REFUSED
    run.fold(announcement)
    decision = decide(
        announcement, collected, lambda counts: fedavg_weights(counts, "equal"), run.plan.recipe
    )
    for items in (collected, recall_updates.fn(run, announcement, decision).items):
        state = replace(run.state, collected=Collection(1, tuple(items)), decision=decision)
        record = record_of(state, RoundSeconds(total=1.0, train=1.0, overhead=0.0))
        row = run_summary(run.plan, run.head, [record], None)["rounds"][0]["parties"][PARTY]
        assert row["cleaned"] == REFUSED.cleaned
        assert row["warnings"] == list(REFUSED.failed_expectations)
        assert row["num_examples"] == 0


@pytest.mark.parametrize(
    ("sender", "number", "code"), [("shop-b", 1, "signature-invalid"), (PARTY, 2, "wrong-round")]
)
def test_counts_that_the_party_did_not_sign_for_this_round_go_nowhere(played, run, sender, number, code):
    announcement = played.announce(1)
    played.submit(sender, 1, "contract-failed")
    envelope = played.store.read(receipt_key(sender, run.run, 1))
    found = admit(run, announcement.model_copy(update={"round": number}), PARTY, envelope)
    assert (found.refusal.code, found.report) == (code, None)
