"""Cancelling closes a run once, and says so; the hook for Prefect does the same with its own settings."""

import logging
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Cancelled

from fedmodels.errors import InputError, RunConflict
from fedmodels.protocol.messages import Closed
from infra.layout import closed_key
from infra.locations import role_settings
from infra.settings import CONFIG_VARIABLE
from tasks.cancelling import cancel_run, close_cancelled
from tasks.exchange import read_message
from tasks.verifying.run import verify_run
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, finished_run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture(scope="module")
def playing(home) -> FinishedRun:
    return finished_run(home, "playing-1")


@pytest.fixture
def open_run(playing) -> FinishedRun:
    """Five rounds were played, and nothing closes the run."""
    playing.store.delete(closed_key(playing.run))
    return playing


@pytest.fixture
def cancelled_in_prefect(home, monkeypatch):
    """Call the hook as Prefect does, in a process with the coordinator's settings."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(role_settings(home, "coordinator")))

    def call(parameters, name="blue-fox"):
        flow_run = FlowRun(flow_id=uuid4(), name=name, parameters=parameters)
        with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):  # no server takes its lines
            close_cancelled(None, flow_run, Cancelled())

    return call


def test_a_cancelled_run_keeps_its_best_model(open_run, tmp_path):
    closed = cancel_run(open_run.store, open_run.run, "the data were wrong")
    assert read_message(open_run.store, closed_key(open_run.run), Closed) == closed
    assert (closed.status, closed.code, closed.reason) == ("cancelled", "cancelled", "the data were wrong")
    assert (closed.rounds, closed.model_sha256) == (5, open_run.head.best_model_sha256)
    assert closed.final == open_run.records[4].holdout
    assert closed.seconds == 5 * 4.5
    assert verify_run(open_run.store, open_run.run, tmp_path).passed


def test_before_its_first_round_it_keeps_the_base_model(home, tmp_path):
    fresh = FinishedRun(home, "fresh-1")
    closed = cancel_run(fresh.store, "fresh-1", "too early")
    assert (closed.rounds, closed.final, closed.model_sha256) == (0, None, fresh.plan.base_model_sha256)
    assert verify_run(fresh.store, "fresh-1", tmp_path).passed


def test_a_run_that_is_over_is_refused_and_stays_as_it_is(open_run):
    first = cancel_run(open_run.store, open_run.run, "first")
    with pytest.raises(RunConflict, match="cancelled already, after 5 rounds") as caught:
        cancel_run(open_run.store, open_run.run, "second")
    assert caught.value.code == "run-closed"
    assert read_message(open_run.store, closed_key(open_run.run), Closed) == first


def test_an_unknown_run_is_refused(open_run):
    with pytest.raises(InputError) as caught:
        cancel_run(open_run.store, "nothing-1", "")
    assert caught.value.code == "run-unknown"


def test_the_hook_closes_the_run_of_the_flow_run(open_run, cancelled_in_prefect):
    cancelled_in_prefect({"recipe": {}, "run": open_run.run})
    closed = read_message(open_run.store, closed_key(open_run.run), Closed)
    assert (closed.status, closed.reason) == ("cancelled", "it was cancelled in Prefect")


def test_the_hook_knows_a_run_that_a_schedule_began_by_its_name(open_run, cancelled_in_prefect):
    cancelled_in_prefect({"recipe": "reviews"}, f"federated-training · {open_run.run}")
    closed = read_message(open_run.store, closed_key(open_run.run), Closed)
    assert (closed.status, closed.reason) == ("cancelled", "it was cancelled in Prefect")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"recipe": {}}, "had not named its run yet"),
        ({"recipe": {}, "run": "nothing-1"}, "no run nothing-1"),
    ],
)
def test_the_hook_reports_and_does_not_raise(
    open_run, cancelled_in_prefect, caplog, monkeypatch, parameters, said
):
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        cancelled_in_prefect(parameters)
    assert said in caplog.text
