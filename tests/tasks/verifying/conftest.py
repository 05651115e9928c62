"""Two finished runs in a store of their own, and a way to tamper with their objects for a moment."""

from contextlib import contextmanager

import pytest

from infra.object_store import ObjectStore
from tasks.verifying import run as verifying
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, finished_run


@pytest.fixture(scope="session")
def bucket_home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as home:
        yield home


@pytest.fixture(scope="session")
def finished(bucket_home) -> FinishedRun:
    finished_run(bucket_home, "other-1", seed=7)
    return finished_run(bucket_home, "tiny-1")


@pytest.fixture(autouse=True)
def closing(monkeypatch):
    """No coordinator is about to close a run: none is waited for, though all that is verified is young."""
    monkeypatch.setattr(verifying, "CLOSING_S", 0.0)


@pytest.fixture
def tampering(finished):
    """Put other bytes at keys (`None` deletes) while the body runs, with their owners' credentials."""

    @contextmanager
    def tamper(changes):
        before = {key: owner(finished, key).read(key) for key in changes}
        try:
            put(finished, changes)
            yield
        finally:
            put(finished, before)

    return tamper


def owner(run: FinishedRun, key: str) -> ObjectStore:
    return run.store if key.startswith("coordinator/") else run.stores[key.split("/")[1]]


def put(run: FinishedRun, changes: dict[str, bytes | None]) -> None:
    for key, data in changes.items():
        if data is None:
            owner(run, key).delete(key)
        else:
            owner(run, key).put_blob(key, data)
