"""`dvc repro` in a clone of its own: real data, the same flows, nothing again that has not changed."""

import json
import os
import re
import resource
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from flows.recipes import load_recipe
from infra.local.stack import down
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from tests.end_to_end.federation import REPOSITORY

TRACKED = ("dvc.yaml", ".dvcignore", ".gitignore", "pyproject.toml", ".dvc/config")
STAGES = [
    *("fetch", "partition", "contracts@camera-shop", "contracts@phone-shop"),
    *("federate", "evaluate", "report"),
]
COMMITTER = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "A User"), ("EMAIL", "user@example.org"))
}
FOLDERS = ("recipes", "fedmodels", "tasks", "validation", "infra", "flows")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a user has who named recipes/smoke.yaml in dvc.yaml, with the repository's downloads if any."""
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
    assert "- recipes/reviews.yaml:" in written
    pipeline.write_text(written.replace("- recipes/reviews.yaml:", "- recipes/smoke.yaml:", 1))
    git(folder, "init", "--quiet")
    commit(folder)
    yield folder
    down(folder / ".fedcart")


def git(folder, *words):
    subprocess.run(["git", *words], cwd=folder, check=True, env={**os.environ, **COMMITTER})


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "as it stands")


def attempt(clone, *words):
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone), "CI": "1", **COMMITTER}
    return subprocess.run(words, cwd=clone, env=environment, capture_output=True, text=True, timeout=280)


def call(clone, *words):
    done = attempt(clone, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stages_run(said):
    return re.findall(r"^Running stage '(.+)':$", said, re.MULTILINE)


@pytest.fixture(scope="module")
def trained(clone):
    """The clone after its first `dvc repro`."""
    assert stages_run(call(clone, "dvc", "repro")) == STAGES
    commit(clone)
    return clone


@pytest.fixture
def recipe(trained):
    """The recipe's file, which a test may change: it is as before afterwards."""
    file = trained / "recipes" / "smoke.yaml"
    before = file.read_text()
    yield file
    file.write_text(before)
    assert stages_run(call(trained, "dvc", "repro")) == []


def test_the_kept_model_is_the_runs_and_is_scored_again(trained):
    reports = trained / ".fedcart" / "coordinator" / "reports" / "smoke"
    run, scores = (json.loads((reports / f"{name}.json").read_text()) for name in ("run", "scores"))
    assert run["status"] == "finished"
    assert scores["holdout"]["accuracy"] == pytest.approx(run["final"]["accuracy"], abs=1e-6)
    model = trained / ".fedcart" / "coordinator" / "models" / "smoke"
    assert {"config.json", "model.safetensors"} <= {path.name for path in model.iterdir()}


def test_no_row_or_file_of_a_party_is_in_its_lock(trained):
    locked = yaml.safe_load((trained / "dvc.lock").read_text())["stages"]
    assert list(locked) == STAGES
    named = [
        each["path"] for stage in locked.values() for kind in ("deps", "outs") for each in stage.get(kind, [])
    ]
    assert ".fedcart/coordinator/models/smoke" in named
    assert not [path for path in named if ".fedcart/parties" in path or ".fedcart".startswith(path)]


def test_nothing_is_done_twice(trained):
    before = (trained / "dvc.lock").read_text()
    used = processor_seconds()
    assert "didn't change" in (said := call(trained, "dvc", "repro"))
    assert processor_seconds() - used < 3.0
    assert stages_run(said) == []
    assert (trained / "dvc.lock").read_text() == before


def processor_seconds():
    """Of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_metrics_and_plots_are_shown_for_the_model_and_for_each_party(trained):
    (shown,) = json.loads(call(trained, "dvc", "metrics", "show", "--json")).values()
    metrics = {Path(path).name: file["data"] for path, file in shown["data"].items()}
    assert set(metrics) == {"camera-shop.json", "phone-shop.json", "scores.json"}
    assert metrics["camera-shop.json"]["passed"] is True
    assert metrics["camera-shop.json"]["rows"]["train"] > 100
    report = trained / ".fedcart" / "coordinator" / "reports" / "smoke" / "report" / "report.md"
    assert f"| holdout | {metrics['scores.json']['holdout']['num_examples']} | " in report.read_text()


def changed_stages(clone):
    """Stages whose own parameters, code or data have changed."""
    return sorted(json.loads(call(clone, "dvc", "status", "--json")))


def test_a_parameter_touches_what_it_can_change(trained, recipe):
    before = recipe.read_text()
    recipe.write_text(before.replace("max_length: 32", "max_length: 16"))
    assert changed_stages(trained) == ["federate"]
    recipe.write_text(before.replace("description: two", "description: 2"))
    assert changed_stages(trained) == []
    recipe.write_text(before.replace("holdout_share: 0.15", "holdout_share: 0.2"))
    assert changed_stages(trained) == [
        "contracts@camera-shop",
        "contracts@phone-shop",
        "federate",
        "partition",
    ]


def test_a_broken_contract_ends_it_before_anybody_trains(trained, recipe):
    bound = "kind: labelled-text\n  row_count: {max: 150, severity: critical}"
    recipe.write_text(recipe.read_text().replace("kind: labelled-text", bound))
    done = attempt(trained, "dvc", "repro")
    assert done.returncode != 0
    assert stages_run(done.stdout) == ["contracts@camera-shop"]
    assert "failed: critical:expect_table_row_count_to_be_between:table" in done.stdout


@pytest.fixture(scope="module")
def experiment(trained):
    """Stages that ran when one parameter was another one, in the workspace."""
    said = call(trained, "dvc", "exp", "run", "--set-param", "recipes/smoke.yaml:num_rounds=2")
    return stages_run(said)


def test_what_is_pushed_lies_below_the_coordinators_private_prefix(trained):
    call(trained, "fedcart", "data", "remote")
    call(trained, "dvc", "push")
    store = store_from_settings(load_role_settings(trained / ".fedcart", "coordinator"))
    assert len(list(store.list_keys("private/dvc/files/md5/"))) >= 3
    assert "in sync" in call(trained, "dvc", "status", "--cloud")


def test_an_experiment_runs_what_its_parameter_touches_and_changes_no_other(trained, experiment):
    assert experiment == ["federate", "evaluate", "report"]
    changed, before = (load_recipe(str(root / "recipes" / "smoke.yaml")) for root in (trained, REPOSITORY))
    assert changed == before.model_copy(update={"num_rounds": 2})


def test_what_the_experiment_changed_is_seen(trained, experiment):
    reports = ".fedcart/coordinator/reports/smoke"
    compared = json.loads(call(trained, "dvc", "metrics", "diff", "--json"))
    assert list(compared) == [f"{reports}/scores.json"], "the parties' data are the same"
    assert compared[f"{reports}/scores.json"]["validation.loss"]["diff"] != 0
    plots = json.loads(call(trained, "dvc", "plots", "diff", "--json"))["data"]
    assert set(plots) == {
        "accuracy on validation",
        "loss on validation",
        *(f"{reports}/report/parties/{party}.json" for party in ("camera-shop", "phone-shop")),
    }
    for name in ("loss on validation", f"{reports}/report/parties/phone-shop.json"):
        (plot,) = plots[name]
        rows = plot["content"]["data"]["values"]
        drawn = [(row["rev"], row["round"]) for row in rows if row["accuracy"] is not None]
        assert sorted(drawn) == [("HEAD", 1), ("workspace", 1), ("workspace", 2)]
