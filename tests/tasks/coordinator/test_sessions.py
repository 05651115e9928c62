"""Which sessions a resume adopts, and which get a successor."""

from types import SimpleNamespace

import pytest

from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Session
from fedmodels.protocol.state import RunState
from infra.layout import round_key, session_key
from infra.waiting import wait_for
from tasks.coordinator import sessions
from tasks.coordinator.sessions import start_session

PARTY = "shop-b"
HELD, NEXT = "0" * 32, "1" * 32


@pytest.fixture
def prefect(monkeypatch):
    """A server that says of every session that it is `state`."""
    server = SimpleNamespace(state="RUNNING", cancelled=[])
    monkeypatch.setattr(sessions, "flow_run_state", lambda _session: server.state)
    monkeypatch.setattr(sessions, "start_party_session", lambda _run, _party: NEXT)
    monkeypatch.setattr(sessions, "cancel_party_session", lambda *session: server.cancelled.append(session))
    return server


def lease(played, *, ready=True):
    standing = Session(run=played.run, party=PARTY, session=HELD, ready=ready)
    played.stores[PARTY].put_blob(session_key(PARTY, played.run), canonical_json(standing))


def missed(played, run, code="late", came_late=()):
    """A round that was closed without the party, and a coordinator that resumes after it."""
    played.play(1, {"shop-a": 1, "shop-c": 1}, {PARTY: code}, late=came_late)
    run.hold(RunState(plan=played.plan, head=played.head, records=tuple(played.records)), "version")


def test_a_session_of_which_nothing_came_in_a_whole_round_gets_a_successor(played, run, prefect):
    """It hangs, though its heart beats: it would be adopted by every resume, and late in every round."""
    lease(played)
    missed(played, run)
    assert start_session.fn(run, PARTY) == run.sessions[PARTY] == NEXT
    assert prefect.cancelled == [(run.run, PARTY, HELD)]


@pytest.mark.parametrize("state", ["PENDING", None])
def test_it_is_adopted_while_it_waits_or_nobody_can_tell(played, run, prefect, state):
    prefect.state = state
    lease(played)
    missed(played, run)
    assert (start_session.fn(run, PARTY), prefect.cancelled) == (HELD, [])


def test_a_slow_session_is_adopted(played, run, prefect):
    lease(played)
    missed(played, run, came_late=(PARTY,))
    assert (start_session.fn(run, PARTY), prefect.cancelled) == (HELD, [])


def test_a_session_that_was_late_because_its_coordinator_was_away_is_adopted(played, run, prefect):
    lease(played)
    missed(played, run, "late-after-resume")
    assert (start_session.fn(run, PARTY), prefect.cancelled) == (HELD, [])


def test_a_session_that_came_up_while_the_round_was_open_is_adopted(played, run, prefect):
    missed(played, run)
    announced = round_key(run.run, 1, "announcement")
    assert wait_for(lambda: run.store.age(announced) >= 2, timeout=10.0), "the store tells whole seconds"
    lease(played)
    assert (start_session.fn(run, PARTY), prefect.cancelled) == (HELD, [])


def test_a_session_that_never_got_ready_gets_a_successor(played, run, prefect):
    lease(played, ready=False)
    assert (start_session.fn(run, PARTY), prefect.cancelled) == (HELD, []), "it has only begun"
    run.plan.__dict__["recipe"] = run.plan.recipe.model_copy(update={"join_timeout": 0.5})
    key = session_key(PARTY, run.run)
    assert wait_for(lambda: run.store.age(key) >= 1, timeout=10.0)
    assert start_session.fn(run, PARTY) == NEXT
    assert prefect.cancelled == [(run.run, PARTY, HELD)]


def test_a_run_that_is_not_open_yet_adopts_what_another_coordinator_started(played, run, prefect):
    lease(played)
    run._state = None
    assert (start_session.fn(run, PARTY), prefect.cancelled) == (HELD, [])
