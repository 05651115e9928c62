"""A store that does not answer for a while: periodic looks go on, and no measurement is lost."""

import socket
from types import SimpleNamespace

import pytest

from fedmodels.errors import StoreRefused, StoreUnavailable
from infra.local.ports import free_ports
from infra.lookout import Lookout
from infra.waiting import wait_for
from tasks.coordinator import closing
from tasks.coordinator.closing import close_round
from tasks.coordinator.interrupting import fold_interruption, interrupted, stop_waiting
from tasks.coordinator.run import CoordinatorRun
from tasks.party import training
from tasks.party.session import PartySession
from tasks.party.training import closed_asked
from tests.store_away import settings_without_store
from tests.store_that_answers import store_that_answers

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


PASSING = [(502, ""), (503, "SlowDownRead"), (429, "TooManyRequests"), (409, "OperationAborted")]
REFUSING = [(403, "AccessDenied"), (501, "NotImplemented")]


@pytest.fixture
def answering(settings):
    """A store that answers, and settings of a role whose store it is."""
    with store_that_answers() as server:
        endpoint = f"http://127.0.0.1:{server.port}"
        server.settings = settings.model_copy(update={"s3_endpoint": endpoint})
        yield server


@pytest.fixture
def looked(monkeypatch):
    """Wait until the look that was asked for last is done, so that its answer is what is told next."""
    looks, look_once = [], Lookout._look

    def counted(lookout, look):
        look_once(lookout, look)
        looks.append(1)

    monkeypatch.setattr(Lookout, "_look", counted)
    return lambda number: wait_for(lambda: len(looks) >= number, timeout=60.0)


@pytest.mark.parametrize(("status", "code"), PASSING)
def test_training_goes_on_whatever_a_store_that_stumbles_answers(
    answering, looked, monkeypatch, status, code
):
    answering.status, answering.code = status, code
    monkeypatch.setattr(training, "CLOSED_CHECK_SECONDS", 0.0)
    closed = closed_asked(PartySession("run-1", answering.settings))
    assert not closed()
    assert looked(1)
    assert not closed()
    assert answering.asked[0] == "GET"


@pytest.mark.parametrize(("status", "code"), PASSING + REFUSING)
def test_a_coordinator_goes_on_between_two_steps_unless_the_store_refuses_it(
    answering, monkeypatch, status, code
):
    answering.status, answering.code = status, code
    monkeypatch.setattr(CoordinatorRun, "state", SimpleNamespace(closed=None))
    run = CoordinatorRun("run-1", answering.settings)
    run.interruption.lookout = Lookout(every=0.0)
    if (status, code) in REFUSING:
        with pytest.raises(StoreRefused):
            fold_interruption(run)
    else:
        fold_interruption(run)
    assert answering.asked


def test_who_must_know_now_is_told_that_nobody_knows(run):
    with pytest.raises(StoreUnavailable):
        interrupted(run, now=True)


def test_a_second_try_to_close_a_round_measures_from_the_same_beginning(run, monkeypatch):
    monkeypatch.setattr(CoordinatorRun, "state", None)
    monkeypatch.setattr(closing, "record_of", lambda state, seconds, environment: seconds)
    began = run.round_began
    with pytest.raises(StoreUnavailable):
        close_round.fn(run, SimpleNamespace(round=1))
    assert run.round_began == began
