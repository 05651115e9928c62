"""`dvc repro` in a clone of its own: real data, the same flows, nothing again that has not changed."""

import json
import os
import shutil
import subprocess
import sysconfig

import pytest
import yaml

from infra.local.stack import down
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from tests.end_to_end.federation import REPOSITORY

TRACKED = ("dvc.yaml", ".dvcignore", ".gitignore", "pyproject.toml", ".dvc/config")
FOLDERS = ("recipes", "fedmodels", "tasks", "validation", "infra", "flows")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a user has who set `recipe: smoke` in dvc.yaml, with the downloads of the repository if any."""
    folder = tmp_path_factory.mktemp("pipeline").resolve() / "clone"
    for name in TRACKED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    if (downloads := REPOSITORY / ".fedcart" / "downloads").exists():
        shutil.copytree(downloads, folder / ".fedcart" / "downloads")
    pipeline = folder / "dvc.yaml"
    written = pipeline.read_text()
    assert "recipe: reviews" in written
    pipeline.write_text(written.replace("recipe: reviews", "recipe: smoke", 1))
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    yield folder
    down(folder / ".fedcart")


def call(clone, *words):
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone), "CI": "1"}
    done = subprocess.run(words, cwd=clone, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(clone):
    """The clone after its first `dvc repro`."""
    call(clone, "dvc", "repro")
    return clone


def test_the_kept_model_is_the_runs_and_is_scored_again(trained):
    reports = trained / ".fedcart" / "coordinator" / "reports" / "smoke"
    run, scores = (json.loads((reports / f"{name}.json").read_text()) for name in ("run", "scores"))
    assert run["status"] == "finished"
    assert scores["holdout"]["accuracy"] == pytest.approx(run["final"]["accuracy"], abs=1e-6)
    model = trained / ".fedcart" / "coordinator" / "models" / "smoke"
    assert {"config.json", "model.safetensors"} <= {path.name for path in model.iterdir()}


def test_no_row_or_file_of_a_party_is_in_its_lock(trained):
    locked = yaml.safe_load((trained / "dvc.lock").read_text())["stages"]
    assert list(locked) == ["fetch", "partition", "federate", "evaluate"]
    outs = [out["path"] for stage in locked.values() for out in stage.get("outs", [])]
    assert ".fedcart/coordinator/models/smoke" in outs
    assert not [path for path in outs if "parties" in path]


def test_nothing_is_done_twice(trained):
    before = (trained / "dvc.lock").read_text()
    assert "didn't change" in (said := call(trained, "dvc", "repro"))
    assert "Running stage" not in said
    assert (trained / "dvc.lock").read_text() == before


def test_what_is_pushed_lies_below_the_coordinators_private_prefix(trained):
    call(trained, "fedcart", "data", "remote")
    call(trained, "dvc", "push")
    store = store_from_settings(load_role_settings(trained / ".fedcart", "coordinator"))
    assert len(list(store.list_keys("private/dvc/files/md5/"))) >= 3
    assert "in sync" in call(trained, "dvc", "status", "--cloud")
