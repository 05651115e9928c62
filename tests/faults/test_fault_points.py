"""Fault points cost nothing where no harness is: the functions are the very ones that were written."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedmodels.protocol.canonical import sha256_hex
from infra.deployments.starting import start_party_session
from infra.fault_points import HARNESS, fault_effect, fault_step
from infra.object_store import ObjectStore
from tasks.coordinator.aggregating import aggregate
from tasks.models import adopt_model, forget_models
from tasks.party.joining import next_announcement
from tasks.party.training import train_local
from tasks.round_folder import open_round_folder
from tests.end_to_end.federation import REPOSITORY
from tests.faults import injection

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


def test_after_a_creation_it_is_the_content_that_stands_there_which_counts():
    ours, standing = {"key": "a/b", "sha256": sha256_hex(b"ours")}, b"of another one"
    assert injection._known_after("create", ours, standing)["sha256"] == sha256_hex(standing)
    assert injection._known_after("swap", ours, True) == ours
    assert injection._known_after("swap", ours, False)["sha256"] == "", "a swap that lost shows nothing"


@pytest.mark.parametrize(
    "step",
    [
        lambda run, number: None,
        lambda session, announcement: None,
        lambda store, run: None,
    ],
    ids=["coordinator", "party", "cancel"],
)
def test_a_process_learns_its_run_from_the_first_step(tmp_path, monkeypatch, step):
    for name in ("run", "role", "folder", "orders", "seen"):
        monkeypatch.setattr(injection.Place, name, getattr(injection.Place, name))
    monkeypatch.setenv(injection.ORDERS, str(tmp_path))
    monkeypatch.setenv("FEDCART_CONFIG", str(tmp_path / "coordinator" / "fedcart.toml"))
    last = inspect.getfullargspec(step).args[-1]
    injection.around_step(step)(SimpleNamespace(run="run-1"), "run-1" if last == "run" else 1)
    assert (injection.Place.run, injection.Place.role) == ("run-1", "coordinator")
