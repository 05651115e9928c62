"""Finished runs of a recipe of their own, and a clock that moves for what stands in the bucket."""

import itertools
from dataclasses import replace

import pytest

from infra import leftovers
from infra.object_store import ObjectStore
from tasks import removal_notes, sweeping
from tasks.release import pruned, pruning
from tests.tasks.release.pruning.bucket import (
    SEEDS,
    another,
    close,
)
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

NUMBERS = itertools.count(1)


@pytest.fixture
def recipe() -> str:
    """Of the test's own runs."""
    return f"tiny-{next(NUMBERS)}"


@pytest.fixture
def opened(home, recipe):
    """The only run in the bucket, until the test opens others."""
    made = FinishedRun(home, f"{recipe}-run", seed=next(SEEDS), changes={"name": recipe, "num_rounds": 1})
    yield made
    for role, store in [("coordinator", made.store), *made.stores.items()]:
        for key in list(store.list_keys("coordinator/" if role == "coordinator" else f"parties/{role}/")):
            store.delete(key)


@pytest.fixture
def runs(home, opened):
    """Finished runs of one round, each with models of its own; all of the test's recipe."""

    def made(count, status="finished"):
        found = []
        for _ in range(count):
            run = opened if not made.calls else another(home, opened, f"{opened.run}-{made.calls}")
            made.calls += 1
            run.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
            close(run, status)
            found.append(run)
        return found

    made.calls = 0
    return made


@pytest.fixture
def later(opened, monkeypatch):
    """Let so many seconds pass for all that stands in the bucket: what is put afterwards is young."""
    passed: dict[str, float] = {}
    age, put, listed = ObjectStore.age, ObjectStore.put_blob, leftovers.list_objects

    def aged(store, key):
        found = age(store, key)
        return None if found is None else found + passed.get(key, 0.0)

    def put_anew(store, key, data):
        passed.pop(key, None)
        put(store, key, data)

    def aged_list(store, prefix):
        for found in listed(store, prefix):
            yield replace(found, age=found.age + passed.get(found.key, 0.0))

    def move(seconds):
        for key in [*opened.store.list_keys("coordinator/"), *opened.store.list_keys("parties/")]:
            passed[key] = passed.get(key, 0.0) + seconds

    monkeypatch.setattr(ObjectStore, "age", aged)
    monkeypatch.setattr(ObjectStore, "put_blob", put_anew)
    for module in (pruning, pruned, removal_notes, sweeping):
        monkeypatch.setattr(module, "list_objects", aged_list)
    return move
