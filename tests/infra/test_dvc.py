import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from fedmodels.errors import InputError, StoreRefused
from fedmodels.recipe import Recipe
from infra.dvc import configure_remote
from infra.settings import Settings, load_role_settings
from infra.stores import store_from_settings

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = Settings(
    s3_endpoint="http://127.0.0.1:8333",
    s3_access_key_id="coordinator",
    s3_secret_access_key="kept out of git",
)


def dvc(folder, *words):
    program = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, env={**os.environ, "CI": "1"})


@pytest.fixture
def clone(tmp_path):
    return cloned(tmp_path / "clone")


def cloned(folder):
    """What git would give of the repository, as far as DVC is concerned."""
    for name in ("dvc.yaml", ".dvcignore", ".dvc/config", "recipes"):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = REPOSITORY / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.copy(REPOSITORY / ".gitignore", folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def test_credentials_go_into_the_local_file_alone(clone):
    committed = (clone / ".dvc" / "config").read_text()
    assert configure_remote(clone, SETTINGS) == "s3://fedcart/private/dvc"
    assert (clone / ".dvc" / "config").read_text() == committed
    local = clone / ".dvc" / "config.local"
    assert local.stat().st_mode & 0o777 == 0o600
    before = local.read_text()
    for part in ("kept out of git", "http://127.0.0.1:8333", "s3://fedcart/private/dvc"):
        assert part in before
    configure_remote(clone, SETTINGS)
    assert local.read_text() == before
    git = subprocess.run(
        ["git", "status", "--short", "-uall"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert "config.local" not in git.stdout
    assert ".dvc/config" in git.stdout


def test_a_store_without_an_endpoint_of_its_own(clone):
    configure_remote(clone, SETTINGS)
    configure_remote(clone, Settings(bucket="company"))
    local = (clone / ".dvc" / "config.local").read_text()
    assert "s3://company/private/dvc" in local
    assert "endpointurl" not in local
    assert "kept out of git" not in local


def test_a_folder_that_is_no_dvc_repository(tmp_path):
    with pytest.raises(InputError) as caught:
        configure_remote(tmp_path, SETTINGS)
    assert caught.value.code == "dvc-missing"


def test_what_is_pushed_comes_back_and_no_party_reads_it(running, home, clone, tmp_path):
    coordinator = load_role_settings(home, "coordinator")
    configure_remote(clone, coordinator)
    rows = clone / "sets" / "holdout.csv"
    rows.parent.mkdir()
    rows.write_text("text,label\nworks great,1\n")
    for words in (("add", "sets/holdout.csv"), ("push",)):
        done = dvc(clone, *words)
        assert done.returncode == 0, done.stderr

    other = cloned(tmp_path / "other")
    configure_remote(other, coordinator)
    (other / "sets").mkdir()
    shutil.copy(f"{rows}.dvc", other / "sets")
    done = dvc(other, "pull", "sets/holdout.csv.dvc")
    assert done.returncode == 0, done.stderr
    assert (other / "sets" / "holdout.csv").read_bytes() == rows.read_bytes()

    (key,) = store_from_settings(coordinator).list_keys("private/dvc/")
    party = store_from_settings(load_role_settings(home, "shop-a"))
    for attempt in (
        lambda: party.read(key),
        lambda: list(party.list_keys("private/")),
        lambda: party.create("private/dvc/x", b""),
    ):
        with pytest.raises(StoreRefused, match="AccessDenied"):
            attempt()


def pipeline() -> dict[str, dict[str, Any]]:
    """The stages as they are written; of one for each party, what it does."""
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


PARTIES = ("dvd-shop", "camera-shop", "phone-shop", "music-shop")


def test_the_pipeline_as_dvc_reads_it(clone):
    listed = dvc(clone, "stage", "list", "--name-only")
    checks = [f"contracts@{party}" for party in PARTIES]
    assert listed.stdout.split() == ["fetch", "partition", *checks, "federate", "evaluate", "report"], (
        listed.stderr
    )
    drawn = dvc(clone, "dag", "--dot").stdout
    edges = ["fetch partition", "partition federate", "federate evaluate", "evaluate report"]
    edges += [f"partition {check}" for check in checks] + [f"{check} federate" for check in checks]
    for before, after in map(str.split, edges):
        assert f'"{before}" -> "{after}"' in drawn
    config = (clone / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "dir = ../.fedcart/coordinator/" in config  # a folder that only its owner can read


def test_no_table_of_a_party_can_become_an_output(clone):
    places = [
        str(place)
        for stage in pipeline().values()
        for key in ("deps", "outs", "metrics")
        for place in stage.get(key, [])
    ]
    assert places
    assert not [place for place in places if "parties" in place]
    refused = dvc(clone, "stage", "add", "--name", "leak", "--outs", ".fedcart/parties/shop-a/data", "true")
    assert refused.returncode != 0
    assert "is ignored" in refused.stderr


@pytest.mark.parametrize("recipe", sorted(path.stem for path in (REPOSITORY / "recipes").glob("*.yaml")))
def test_every_named_parameter_stands_in_the_recipe(recipe):
    """DVC refuses to run a stage of a recipe that lacks one."""
    document = yaml.safe_load((REPOSITORY / "recipes" / f"{recipe}.yaml").read_text())
    assert document["name"] == recipe, "by its name dvc.yaml finds its file"
    entries = [entry for stage in pipeline().values() for entry in stage.get("params", [])]
    for key in [key for entry in entries for keys in entry.values() for key in keys]:
        found = document
        for part in key.split("."):
            assert part in found, f"{recipe} lacks {key}"
            found = found[part]


CANNOT_CHANGE_A_STAGE = {
    "description": "is for people",
    "release": "judges a kept model after the run is closed",
}
"""Fields of a recipe, each with the reason why no stage has to run again when it changes."""
DECIDE_IN_PART = {"drift": {"drift.enabled", "drift.columns"}}
"""A party whose tables lack a watched column sits out; bounds and counts are for checks after a training."""


def test_every_field_that_can_change_the_model_is_a_parameter():
    named = parameters("federate")
    for field in Recipe.model_fields:
        if field in CANNOT_CHANGE_A_STAGE:
            assert not [key for key in named if key.split(".")[0] == field], f"{field} is on two lists"
        else:
            assert DECIDE_IN_PART.get(field, {field}) <= set(named), f"dvc repro does not see {field}"


def parameters(stage: str) -> set[str]:
    """Keys of the recipe whose change runs the stage again."""
    return {key for entry in pipeline()[stage].get("params", []) for keys in entry.values() for key in keys}


@pytest.mark.parametrize(
    ("key", "touched"),
    [
        ("num_rounds", {"federate"}),
        ("local", {"federate"}),
        ("contract", {"contracts", "federate"}),
        ("data", {"partition", "contracts", "federate"}),
        ("seed", {"partition", "contracts", "federate"}),
        ("data.source", {"fetch"}),
        ("release", set()),
        ("description", set()),
    ],
)
def test_a_parameter_touches_the_stages_that_it_can_change(key, touched):
    """Of those that come after a training, each has what the training left as a dependency."""
    assert {stage for stage in pipeline() if key in parameters(stage)} == touched


@pytest.mark.parametrize("stage", ["contracts", "federate"])
def test_the_parties_tables_are_those_of_the_recipe_where_dvc_skips_cutting_them(stage):
    """It knows the coordinator's sets alone, and brings back those of another time or machine."""
    commands = pipeline()[stage]["cmd"]
    cut = commands.index("fedcart data partition --recipe recipes/${name}.yaml")
    assert cut < next(
        number
        for number, words in enumerate(commands)
        if words.startswith(("fedcart data check", "fedcart train"))
    )


def test_what_is_shown_is_kept_by_dvc():
    """Git ignores `.fedcart`, so without a cache there is nothing of yesterday to compare with."""
    outs = [
        out
        for stage in pipeline().values()
        for key in ("outs", "metrics")
        for out in stage.get(key, [])
        if isinstance(out, dict)
    ]
    assert not [out for out in outs for options in out.values() if options.get("cache") is False]


@pytest.mark.parametrize(
    ("stage", "entries"),
    [
        ("fetch", ["infra.packages"]),
        ("partition", ["flows.data_preparation"]),
        ("contracts", ["flows.data_check"]),
        ("federate", ["flows.data_preparation", "flows.federated_training", "flows.party_session"]),
        ("evaluate", ["flows.prediction"]),
        ("report", ["flows.run_report", "tasks.reading", "flows.open_store"]),
    ],
)
def test_the_code_that_a_stage_runs_is_among_its_dependencies(stage, entries, modules):
    deps = pipeline()[stage]["deps"]
    used = {module for entry in entries for module in (entry, *modules.find_upstream_modules(entry))}
    assert len(used) > len(entries)
    files = {Path(*module.split(".")).with_suffix(".py") for module in used}
    unseen = {file for file in files if not any(file.is_relative_to(dep) for dep in deps)}
    assert unseen <= (HOW_A_PACKAGE_IS_FETCHED if stage == "fetch" else set())


@pytest.fixture(scope="module")
def modules():
    """Which module imports which, imports inside functions included."""
    return grimp.build_graph("flows", "tasks", "fedmodels", "validation", "infra")


HOW_A_PACKAGE_IS_FETCHED = {
    Path(file)
    for file in (
        "infra/pip_download.py",
        "infra/file_hash.py",
        "infra/locations.py",
        "fedmodels/errors.py",
        "fedmodels/full_disk.py",
    )
}
"""What arrives is pinned by its hash, however it came."""
