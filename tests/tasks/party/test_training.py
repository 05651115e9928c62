"""Training looks for `closed.json` at every step, and stands still for no store."""

import socket
from threading import current_thread

import pytest

from infra.local.ports import free_ports
from infra.settings import load_role_settings
from infra.waiting import wait_for
from tasks.cancelling import cancel_run
from tasks.party import training
from tasks.party.session import PartySession
from tasks.party.training import closed_asked
from tests.store_alone import store_alone, store_of
from tests.store_away import settings_without_store
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

STEPS = 1000


@pytest.fixture(autouse=True)
def always_due(monkeypatch):
    monkeypatch.setattr(training, "CLOSED_CHECK_SECONDS", 0.0)


def session_at(tmp_path, port) -> PartySession:
    return PartySession("run-1", settings_without_store(tmp_path, port))


def test_a_store_that_is_silent_holds_up_no_step(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60.0)
        closed = closed_asked(session_at(tmp_path, silent.getsockname()[1]))
        assert not any(closed() for _ in range(STEPS))
        line, _ = silent.accept()
        with line:
            line.settimeout(0.01)
            assert line.recv(4) == b"GET ", "a look is under way"
            silent.settimeout(0.01)
            with pytest.raises(TimeoutError):
                silent.accept()  # and only one was, in all those steps


def test_a_store_that_refuses_the_line_holds_up_no_step(tmp_path):
    (port,) = free_ports(1)
    session = session_at(tmp_path, port)
    senders = []
    for store in (session.store, session.store_for_looks):
        store.client.meta.events.register("before-send.s3", lambda **_: senders.append(current_thread()))
    closed = closed_asked(session)
    assert not any(closed() for _ in range(STEPS))
    assert wait_for(lambda: closed() or len(senders) > 1, timeout=60.0), "it goes on looking"
    assert current_thread() not in senders, "no step sends a request, or waits for one"


def test_a_run_that_is_closed_is_seen_by_the_next_looks(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as home:
        played = FinishedRun(home, "closed-1")
        closed = closed_asked(PartySession(played.run, load_role_settings(home, PARTIES[0])))
        assert not closed()
        cancel_run(store_of(home, "coordinator"), played.run, "a person said so")
        assert wait_for(closed, timeout=10.0)
