"""Who is about to train is told at once when there is no stack, or when it is down."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import (
    InputError,
    PrefectAway,
    RunConflict,
    RunError,
    StackError,
    StoreBusy,
    StoreLost,
    StoreUnavailable,
)
from flows import following
from flows.following import STORE_PATIENCE, Request, begin, follow, rejoin, running_store
from flows.recipes import load_recipe
from infra.layout import closed_key
from infra.retry_rule import OUTAGE_S
from tasks.reading import RunView
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, finished_run


def test_a_stack_that_is_down_is_not_a_store_that_fails(tmp_path):
    with store_alone(tmp_path, ("shop-a", "shop-b")) as home:
        assert running_store(home).read("coordinator/nothing") is None
    with pytest.raises(StackError, match=r"is down; start it with fedcart up") as caught:
        running_store(home)
    assert caught.value.code == "stack-down"


def test_without_a_stack_one_is_to_be_started(tmp_path):
    with pytest.raises(StackError) as caught:
        running_store(tmp_path)
    assert caught.value.code == "stack-missing"


def test_a_new_run_never_takes_the_name_of_one_that_exists(tmp_path):
    """Whoever followed the old run, which is closed, would be shown its result as their own."""
    request = Request(load_recipe("smoke"), "shown-1")
    with store_alone(tmp_path, PARTIES) as home:
        store = finished_run(home, request.run).store
        with pytest.raises(RunConflict, match=r"shown-1 exists and is over; .* runs show shown-1\.") as over:
            begin(request, home)
        store.delete(closed_key(request.run))
        with pytest.raises(RunConflict, match=r"is open; .* train --resume shown-1\.") as still_open:
            begin(request, home)
    assert over.value.code == still_open.value.code == "run-exists"


def test_a_run_that_nobody_knows_is_told_though_the_server_is_away(tmp_path, monkeypatch):
    def away(_run, **_options):
        raise PrefectAway("The Prefect server does not answer")

    monkeypatch.setattr("infra.deployments.starting.find_training", away)
    with store_alone(tmp_path, PARTIES) as home:
        with pytest.raises(InputError) as caught:
            rejoin(home, "nix")
        assert caught.value.code == "run-unknown"
        run = finished_run(home, "open-1")
        run.store.delete(closed_key(run.run))
        with pytest.raises(PrefectAway):
            rejoin(home, run.run)


@pytest.fixture
def watched(monkeypatch, stopped_clock):
    """A run whose store is away until the clock says `back`, and that is closed by then."""
    clock = stopped_clock("flows.following", "infra.waiting")
    clock.back, clock.error = 0.0, StoreUnavailable("The object store does not answer")
    monkeypatch.setattr(following, "coordinator_store", lambda _home: None)
    monkeypatch.setattr(following, "api_url", lambda _home: "")

    def read_state(_store, _run, _known):
        if clock.now < clock.back:
            raise clock.error
        return RunView(closed=SimpleNamespace(status="finished"))

    monkeypatch.setattr(following, "read_state", read_state)
    monkeypatch.setattr(following, "read_summary", lambda _store, _run: {"status": "finished"})
    return clock


def test_a_run_is_watched_for_as_long_as_its_tasks_wait_for_the_store(watched, tmp_path):
    watched.back = OUTAGE_S + 30.0
    assert follow(tmp_path, "mine", None) == {"status": "finished"}


@pytest.mark.parametrize("error", [StoreUnavailable("It is away"), StoreBusy("It is busy")])
def test_who_gives_a_run_up_is_told_that_it_goes_on_and_how_to_watch_it(watched, tmp_path, error):
    watched.back, watched.error = float("inf"), error
    with pytest.raises(StoreLost, match=r"the run mine is watched no longer; it goes on") as caught:
        follow(tmp_path, "mine", None)
    assert "fedcart runs follow mine" in str(caught.value)
    assert "fedcart train --resume mine" in str(caught.value)
    assert (caught.value.code, caught.value.exit_status) == (error.code, 75)
    assert STORE_PATIENCE <= watched.now <= STORE_PATIENCE + 5.0


def test_a_run_that_is_over_is_told_once_its_store_is_back(watched, tmp_path, monkeypatch):
    """It was closed at the last look, and its summary is read afterwards."""
    looks = iter([StoreUnavailable("It is away")] * 8)

    def read_summary(_store, _run):
        if error := next(looks, None):
            raise error
        return {"status": "finished"}

    monkeypatch.setattr(following, "read_summary", read_summary)
    monkeypatch.setattr("tenacity.nap.time.sleep", watched.sleep)
    assert follow(tmp_path, "mine", None) == {"status": "finished"}


@pytest.mark.parametrize(("code", "status"), [("hub-unreachable", 75), ("model-invalid", 1)])
def test_what_the_coordinator_could_not_have_now_may_do_better_later(
    watched, tmp_path, monkeypatch, code, status
):
    monkeypatch.setattr(following, "look_until", lambda *_: f"{code}: It went so; do that.")
    monkeypatch.setattr(following, "read_state", lambda *_: RunView())
    with pytest.raises(RunError, match=r"^It went so; do that\.$") as caught:
        follow(tmp_path, "mine", "flow-run")
    assert (caught.value.code, caught.value.exit_status) == (code, status)
