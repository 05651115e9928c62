"""Who is about to train is told at once when there is no stack, or when it is down."""

import pytest

from fedmodels.errors import InputError, PrefectAway, RunConflict, StackError
from flows.following import Request, begin, rejoin, running_store
from flows.recipes import load_recipe
from infra.layout import closed_key
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, finished_run


def test_a_stack_that_is_down_is_not_a_store_that_fails(tmp_path):
    with store_alone(tmp_path, ("shop-a", "shop-b")) as home:
        assert running_store(home).read("nothing") is None
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
