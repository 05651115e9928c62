"""How often a worker looks for runs: each look costs the server."""

import asyncio
from types import SimpleNamespace

import anyio
import pytest
from prefect.workers.process import ProcessWorker

from infra.deployments import locked_worker
from infra.deployments.locked_worker import IDLE_AFTER_S, LockedWorker


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the worker believes in."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(locked_worker, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def looks(clock, monkeypatch):
    """How often a worker looks in the minute from `since` on, when Prefect calls it once a second."""
    looked = []

    async def look(_worker):
        looked.append(clock.now)
        return []

    monkeypatch.setattr(ProcessWorker, "get_and_submit_flow_runs", look)

    async def minute(worker, since):
        looked.clear()
        for second in range(60):
            clock.now = since + second
            await worker.get_and_submit_flow_runs()
        return len(looked)

    return minute


@pytest.mark.parametrize(("role", "idle", "busy"), [("shop-a", 20, 12), ("coordinator", 60, 30)])
def test_a_worker_looks_less_often_while_it_has_a_run_and_a_partys_when_it_had_none_for_long(
    role, idle, busy, looks
):
    async def four_minutes():
        worker = LockedWorker(role)
        worker._limiter = anyio.CapacityLimiter(8)
        yield await looks(worker, 100)
        yield await looks(worker, IDLE_AFTER_S + 100)
        await worker.limiter.acquire_on_behalf_of("a run")
        yield await looks(worker, IDLE_AFTER_S + 200)
        worker.limiter.release_on_behalf_of("a run")
        yield await looks(worker, IDLE_AFTER_S + 300)

    async def counted():
        return [looked async for looked in four_minutes()]

    assert asyncio.run(counted()) == [60, idle, busy, 60]
