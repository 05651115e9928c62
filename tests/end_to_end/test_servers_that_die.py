"""Prefect's server, its workers and the object store, killed in a round. The bucket is the truth."""

import json
import time
from contextlib import ExitStack

import pytest
from prefect.client.orchestration import SyncPrefectClient

from bench.proxy import Harm, harming
from bench.toy_run import kill_server
from fedmodels.protocol.messages import Announcement, Head, Record
from flows.following import coordinator_store
from infra.deployments.declaration import locked_template, pool_name
from infra.layout import head_key, round_key
from infra.local import prefect_server, seaweedfs, stack
from infra.local.plan import read_stack
from infra.local.workers import worker_name
from infra.locations import stack_folder
from infra.waiting import wait_for
from tasks.exchange import read_message
from tests.end_to_end.federation import kill_flow_runs


@pytest.fixture
def recipe(federation, plain):
    return str(federation.recipe("plain", num_rounds=3, min_available_parties=2))


def begun(federation, recipe, run, number=1):
    """Begin a run; return the command, and the store, when a round is announced."""
    store = coordinator_store(federation.home)
    training = federation.begin("train", "--recipe", recipe, "--run", run, "--json")
    assert stands(store, run, number, Announcement, timeout=120)
    return training, store


def stands(store, run, number, kind, timeout):
    key = round_key(run, number, kind.__name__.lower())
    return wait_for(lambda: read_message(store, key, kind), timeout=timeout)


def test_a_run_outlives_prefect_and_its_database(federation, plain, recipe):
    """Server killed and database deleted in round 1; the coordinator killed as well in a later one."""
    run, home = "vanished-1", federation.home
    training, store = begun(federation, recipe, run)
    kill_server(federation.home, "server")
    for file in (stack_folder(home) / "prefect").glob("prefect.db*"):
        file.unlink()
    assert stands(store, run, 1, Record, timeout=150), "the round finishes without Prefect"
    assert stands(store, run, 2, Announcement, timeout=120), "and the next one begins"
    kill_flow_runs(federation, "coordinator")
    assert training.poll() is None, "whoever watches goes on watching"

    lost = time.monotonic()
    planned = read_stack(home)
    stack._start_server(planned)  # as if by hand: it knows neither pool nor deployment
    assert wait_for(lambda: prefect_server.answers(planned.server_port), timeout=120)
    resuming = federation.begin("train", "--resume", run, "--json")
    assert wait_for(lambda: read_message(store, head_key(run), Head).epoch == 2, timeout=150)
    took = time.monotonic() - lost
    for command in (resuming, training):
        output, complaint = command.communicate(timeout=200)
        assert command.returncode == 0, complaint
        told = json.loads(output)
        assert told["model_sha256"] == plain["model_sha256"]
        assert [row["round"] for row in told["rounds"]] == [1, 2, 3], "no round was lost"
    print(f"gone on {took:.1f} s after the new server was started")
    with SyncPrefectClient(planned.api_url) as client:
        for role in planned.roles:
            assert client.read_work_pool(pool_name(role)).base_job_template == locked_template()


def test_workers_that_are_killed_take_no_run_with_them(federation, plain, recipe):
    """Those of the coordinator and of a party; started again, they serve the next run."""
    run, roles = "workers-killed-1", ("coordinator", "shop-a")
    training, store = begun(federation, recipe, run)
    for role in roles:
        kill_server(federation.home, worker_name(role))
    assert not stands(store, run, 1, Record, timeout=0), "killed in the middle of a round"
    federation.up()
    output, complaint = training.communicate(timeout=200)
    assert training.returncode == 0, complaint
    told = json.loads(output)
    assert told["model_sha256"] == plain["model_sha256"]
    assert [row["refused"] for row in told["rounds"]] == [[], [], []]
    assert read_message(store, head_key(run), Head).epoch == 1, "nobody had to resume it"
    again = federation.document("train", "--recipe", recipe, "--run", "workers-killed-2")
    assert again["model_sha256"] == plain["model_sha256"]


def test_a_store_that_is_killed_and_comes_back_loses_no_round(federation, plain, recipe):
    run, home = "store-killed-1", federation.home
    training, store = begun(federation, recipe, run)
    kill_server(federation.home, "store")
    with stack.locked(home):
        planned = read_stack(home)
        stack._ensure_store(planned, seaweedfs.find_weed(), None)
    back = time.monotonic()
    assert stands(store, run, 1, Record, timeout=150)
    took = time.monotonic() - back
    output, complaint = training.communicate(timeout=200)
    assert training.returncode == 0, complaint
    told = json.loads(output)
    assert told["model_sha256"] == plain["model_sha256"]
    assert [row["outcome"] for row in told["rounds"]] == ["passed"] * 3
    assert read_message(store, head_key(run), Head).epoch == 1, "nobody had to resume it"
    print(f"round 1 closed {took:.1f} s after the store was back")


def test_lines_that_stumble_change_no_model(federation, plain, recipe, settings_of):
    """Each role's line to the store is harmed in its own way: broken off and slow, or corrupting."""
    store = read_stack(federation.home).endpoint
    harms = {
        "coordinator": Harm(latency=0.002, cut_every=40),
        "shop-a": Harm(corrupt_every=25),
    }
    with ExitStack() as proxies:
        lines = {role: proxies.enter_context(harming(store, harm)) for role, harm in harms.items()}
        for role, line in lines.items():
            settings_of(role, s3_endpoint=line.endpoint, s3_silence=2.0)
        told = federation.document("train", "--recipe", recipe, "--run", "stumbling-1")
    assert told["model_sha256"] == plain["model_sha256"]
    assert [row["refused"] for row in told["rounds"]] == [[], [], []]
    done = {role: dict(line.done) for role, line in lines.items()}
    assert done["coordinator"]["cut"] > 0
    assert done["shop-a"]["corrupt"] > 0
