"""A store that does not answer for a while: periodic looks go on, and no measurement is lost."""

import socket
from types import SimpleNamespace

import pytest

from fedmodels.errors import StoreUnavailable
from infra.local.ports import free_ports
from infra.lookout import Lookout
from tasks.coordinator import closing
from tasks.coordinator.closing import close_round
from tasks.coordinator.interrupting import fold_interruption, interrupted, stop_waiting
from tasks.coordinator.run import CoordinatorRun
from tests.store_away import settings_without_store

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def settings(tmp_path):
    """Of a role whose store is away."""
    (port,) = free_ports(1)
    return settings_without_store(tmp_path, port)


@pytest.fixture
def run(settings):
    return CoordinatorRun("run-1", settings)


def test_a_periodic_look_at_the_run_goes_on(run, monkeypatch):
    monkeypatch.setattr(CoordinatorRun, "state", SimpleNamespace(closed=None))
    run.interruption.lookout = Lookout(every=0.0)
    fold_interruption(run)
    assert not interrupted(run)


def test_the_threads_that_wait_are_not_held_up_by_a_look(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60.0)
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        run = CoordinatorRun("run-1", settings.model_copy(update={"s3_endpoint": endpoint}))
        run.interruption.lookout = Lookout(every=0.0)
        assert not any(interrupted(run) for _ in range(1000))
        line, _ = silent.accept()
        with line:
            stop_waiting(run)
            assert interrupted(run), "while the look is under way"


def test_who_must_know_now_is_told_that_nobody_knows(run):
    with pytest.raises(StoreUnavailable):
        interrupted(run, now=True)


def test_a_second_try_to_close_a_round_measures_from_the_same_beginning(run, monkeypatch):
    monkeypatch.setattr(CoordinatorRun, "state", None)
    monkeypatch.setattr(closing, "record_of", lambda state, seconds: seconds)
    began = run.round_began
    with pytest.raises(StoreUnavailable):
        close_round.fn(run, SimpleNamespace(round=1))
    assert run.round_began == began
