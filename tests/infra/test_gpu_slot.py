"""The one place on a GPU: taken, waited for, given up, kept while Prefect's server dies. No GPU is needed."""

import time

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from fedmodels.errors import StackError
from infra.deployments.declaration import gpu_limit
from infra.deployments.gpu_slot import gpu_slot
from infra.deployments.starting import server_answers
from infra.local.processes import read_records
from infra.locations import stack_folder
from infra.waiting import wait_for
from tests.infra.gpu_holder import hold

LIMIT = gpu_limit("shop-a")


@pytest.fixture
def server(running):
    with SyncPrefectClient(running.api_url) as client, temporary_settings({PREFECT_API_URL: running.api_url}):
        client.upsert_global_concurrency_limit_by_name(LIMIT, 1)
        yield client


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "gpu.lock"


def in_use(client: SyncPrefectClient) -> int:
    return client.read_global_concurrency_limit_by_name(LIMIT).active_slots


def test_it_is_held_by_one_and_free_afterwards(server, lock):
    with gpu_slot(LIMIT, lock, timeout=10, given_up=lambda: False) as held:
        assert held
        assert in_use(server) == 1
        with gpu_slot(LIMIT, lock, timeout=0.5, given_up=lambda: False) as too:
            assert not too
    assert in_use(server) == 0


def test_another_machine_of_the_party_waits_for_the_slot(server, lock):
    """A lock of its own says nothing of this one, so the server does."""
    with gpu_slot(LIMIT, lock, timeout=10, given_up=lambda: False) as held:
        assert held
        with gpu_slot(LIMIT, lock.with_name("other.lock"), timeout=0.5, given_up=lambda: False) as too:
            assert not too


def test_who_waits_gets_it_when_it_is_free(server, running, lock):
    other = hold(LIMIT, lock, running.api_url)
    try:
        assert other.stdout.readline() == "True\n"
        looks = 0

        def given_up():
            nonlocal looks
            looks += 1
            if looks == 1:
                other.stdin.write("\n")
                other.stdin.flush()
            return False

        with gpu_slot(LIMIT, lock, timeout=30, given_up=given_up) as held:
            assert held
            assert looks > 1
    finally:
        other.kill()
        other.wait()


def test_waiting_ends_when_the_run_is_closed(server, lock):
    looks = iter((False, True))
    with gpu_slot(LIMIT, lock, timeout=10, given_up=lambda: False):  # noqa: SIM117 (one waits for the other)
        with gpu_slot(LIMIT, lock, timeout=60, given_up=lambda: next(looks)) as held:
            assert not held
    assert next(looks, None) is None


def test_a_limit_that_nobody_declared_is_an_error_that_says_so(server, lock):
    with (
        pytest.raises(StackError, match="concurrency limit gpu-nobody") as caught,
        gpu_slot("gpu-nobody", lock, timeout=5, given_up=lambda: False),
    ):
        pass
    assert caught.value.code == "deployment-missing"


def test_a_silent_server_holds_up_nobody_who_gives_the_place_back(server, running, lock):
    """It is stopped while the slot is held: it takes the request to give it back, and says nothing."""
    limit = "gpu-of-this-test"
    server.upsert_global_concurrency_limit_by_name(limit, 1)
    process = read_records(stack_folder(running.home))["server"].process
    began = time.monotonic()
    try:
        with gpu_slot(limit, lock, timeout=10, given_up=lambda: False) as held:
            assert held
            process.suspend()
            began = time.monotonic()
        assert time.monotonic() - began < 20
        with gpu_slot(limit, lock, timeout=0, given_up=lambda: False) as held:
            assert held, "the next round trains without Prefect"
    finally:
        process.resume()


def test_a_server_that_dies_takes_nothing_from_who_trains(server, running, lock):
    with gpu_slot(LIMIT, lock, timeout=10, given_up=lambda: False) as held:
        assert held
        read_records(stack_folder(running.home))["server"].process.kill()
        assert wait_for(lambda: not server_answers(), timeout=30)
        with gpu_slot(LIMIT, lock, timeout=1, given_up=lambda: False) as too:
            assert not too, "though no server says that it is taken"
    with gpu_slot(LIMIT, lock, timeout=0, given_up=lambda: False) as held:
        assert held, "the next round trains without Prefect"
