"""Fault points cost nothing where no harness is: the functions are the very ones that were written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.deployments.starting import start_party_session
from infra.fault_points import HARNESS, fault_effect, fault_step
from infra.object_store import ObjectStore
from tasks.coordinator.aggregating import aggregate
from tasks.models import adopt_model, forget_models
from tasks.party.joining import next_announcement
from tasks.party.training import train_local
from tasks.round_folder import open_round_folder
from tests.end_to_end.federation import REPOSITORY
from tests.faults.points import Case, Point, bundles, object_of
from tests.faults.report import uncovered_writes

VERBS = ("read", "read_version", "exists", "create", "swap", "upload", "put_blob", "download", "read_blob")
POINTS = (
    *(getattr(ObjectStore, verb) for verb in VERBS),
    *(start_party_session, adopt_model, forget_models, open_round_folder, next_announcement),
)
HARNESSED = """
import inspect
from infra.object_store import ObjectStore
from tasks.party.training import train_local
assert ObjectStore.create.__wrapped__.__name__ == "create"
print(inspect.unwrap(train_local.fn, stop=lambda f: f.__code__.co_filename.endswith("injection.py")).__name__)
"""


def test_a_decorated_function_is_the_function():
    def some(value):
        return value

    assert fault_step(some) is some
    assert fault_effect(some) is some


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
def test_an_effect_has_no_wrapper(point):
    assert not hasattr(point, "__wrapped__")
    assert point.__code__.co_filename.endswith(f"{point.__module__.replace('.', '/')}.py")


@pytest.mark.parametrize(("task", "wrappers"), [(train_local, 2), (aggregate, 1)])
def test_a_task_has_no_wrapper_but_its_own(task, wrappers):
    function, found = task.fn, 0
    while inner := getattr(function, "__wrapped__", None):
        function, found = inner, found + 1
        assert "tests" not in Path(function.__code__.co_filename).parts[-3:]
    assert found == wrappers, "tagged, and sealed at a party"


def test_with_the_variable_they_are_wrapped():
    done = subprocess.run(
        [sys.executable, "-c", HARNESSED],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, HARNESS: "tests.faults.injection", "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "train_local"


def test_keys_have_names():
    assert object_of("coordinator/runs/r-1/HEAD.json") == "HEAD"
    assert object_of("parties/a/runs/r-1/rounds/0001/receipt.json") == "receipt"
    assert object_of("parties/a/blobs/00.safetensors") == "update"
    assert object_of("coordinator/blobs/00.safetensors") == "model"


def test_a_write_that_no_case_stands_at_is_listed():
    seen = Point("coordinator", "close_round", "create record"), Point("party", "train_local")
    assert uncovered_writes([], seen) == ["coordinator · close_round: create record"]
    assert uncovered_writes([Case(seen[0], "kill", "after")], seen) == []


def test_a_party_may_be_lost_by_hanging_and_by_its_disk_only():
    point = Point("party", "submit_update", "create receipt")
    assert [Case(point, action, "before").may_lose_a_party for action in ("kill", "hang", "error")] == [
        False,
        True,
        False,
    ]
    assert Case(Point("party", "validate_data"), "error", "before").may_lose_a_party
    assert not Case(Point("coordinator", "fine_tune"), "error", "before").may_lose_a_party


def test_cases_that_share_a_run_are_of_one_kind():
    here = [Case(Point("coordinator", f"step{n}"), "kill", "before") for n in range(5)]
    there = [
        Case(Point("party", f"step{n}"), action, "after") for n in range(4) for action in ("kill", "hang")
    ]
    found = bundles([*here, *there], 4)
    assert sorted(map(len, found)) == [1, 1, 1, 1, 1, 1, 3, 4]
    assert sorted(case.name for bundle in found for case in bundle) == sorted(c.name for c in [*here, *there])
    assert all(len({(case.point.side, case.action) for case in bundle}) == 1 for bundle in found)
