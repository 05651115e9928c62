"""A store that does not answer for a while: periodic looks go on, and no measurement is lost."""

import time
from types import SimpleNamespace

import pytest

from fedmodels.errors import StoreUnavailable
from infra.keys import ensure_private_key
from infra.local.ports import free_ports
from infra.settings import Settings
from tasks.coordinator import closing
from tasks.coordinator.closing import close_round
from tasks.coordinator.interrupting import fold_interruption, interrupted
from tasks.coordinator.run import CoordinatorRun
from tasks.party import training
from tasks.party.session import PartySession

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def settings(tmp_path):
    """Of a role whose store is away."""
    ensure_private_key(tmp_path / "key.pem")
    (port,) = free_ports(1)
    return Settings(
        home=tmp_path / "home",
        role="shop-a",
        signing_key=tmp_path / "key.pem",
        s3_endpoint=f"http://127.0.0.1:{port}",
        s3_access_key_id="a",
        s3_secret_access_key="b",
    )


@pytest.fixture
def run(settings):
    return CoordinatorRun("run-1", settings)


def test_a_periodic_look_at_the_run_goes_on(run, monkeypatch):
    monkeypatch.setattr(CoordinatorRun, "state", SimpleNamespace(closed=None))
    fold_interruption(run)
    assert run.interruption.looked > time.monotonic() - 60.0, "it looked"
    assert not interrupted(run)


def test_who_must_know_now_is_told_that_nobody_knows(run):
    with pytest.raises(StoreUnavailable):
        interrupted(run, now=True)


def test_training_goes_on(settings, monkeypatch):
    monkeypatch.setattr(training, "CLOSED_CHECK_SECONDS", 0.0)
    closed = training.closed_asked(PartySession("run-1", settings))
    assert not closed()


def test_a_second_try_to_close_a_round_measures_from_the_same_beginning(run, monkeypatch):
    monkeypatch.setattr(CoordinatorRun, "state", None)
    monkeypatch.setattr(closing, "record_of", lambda state, seconds: seconds)
    began = run.round_began
    with pytest.raises(StoreUnavailable):
        close_round.fn(run, SimpleNamespace(round=1))
    assert run.round_began == began
