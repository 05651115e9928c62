"""A demonstration that is interrupted takes its run along: nothing of it starts with the next stack."""

import json
import signal
from contextlib import suppress
from dataclasses import replace

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType

from fedmodels.errors import FedcartError
from fedmodels.protocol.messages import Closed
from flows.following import api_url, coordinator_store, running_store
from infra.layout import closed_key, plan_key
from infra.local.stack import down, process_ids, start_store, up
from infra.waiting import wait_for
from tasks.exchange import read_message
from tasks.reading import list_runs
from tests.end_to_end.federation import PARTIES

OVER = {StateType.CANCELLING, StateType.CANCELLED, StateType.COMPLETED}
"""Cancelled by Prefect, or ended by itself when it saw that its run was closed."""
WAITING = {StateType.SCHEDULED}
"""What was pending when its worker was stopped is never begun."""


@pytest.fixture
def alone(tables, tmp_path):
    """The tables and model of the other tests, and a home of its own."""
    made = replace(tables, home=tmp_path / "home", processes=[])
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
    down(made.home)


def test_what_an_interrupted_demonstration_began_is_cancelled(alone):
    recipe = alone.recipe("interrupted", num_rounds=50)
    demonstration = alone.begin("demo", "--recipe", str(recipe), "--json")
    run = wait_for(lambda: begun(alone.home), timeout=240)
    assert run is not None
    demonstration.send_signal(signal.SIGTERM)
    printed, said = demonstration.communicate(timeout=60)
    assert demonstration.returncode == 130, said
    assert f"cancelling {run}" in said
    assert json.loads(printed)["error"]["code"] == "interrupted"
    assert not process_ids(alone.home)

    start_store(alone.home)
    closed = read_message(coordinator_store(alone.home), closed_key(run), Closed)
    assert closed is not None
    assert (closed.status, closed.code) == ("cancelled", "cancelled")

    up(alone.home, PARTIES[:2])
    with SyncPrefectClient(api_url(alone.home)) as client:
        assert wait_for(lambda: not waiting(client), timeout=60)
        states = {found.name: found.state_type for found in client.read_flow_runs()}
        assert states[f"federated-training · {run}"] in OVER


def begun(home):
    """Id of the run whose plan is in the bucket."""
    if not process_ids(home):
        return None
    with suppress(FedcartError):  # the store is coming up
        store = running_store(home)
        return next((run for run in list_runs(store) if store.exists(plan_key(run))), None)


def waiting(client):
    return [found.name for found in client.read_flow_runs() if found.state_type in WAITING]
