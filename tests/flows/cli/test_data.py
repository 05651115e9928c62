import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.data_preparation import fetch_data
from flows.recipes import load_recipe
from tests.flows.cli.in_process import call_main

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def fedcart(tmp_path, monkeypatch, capsys):
    """Run `fedcart data ...` with a home of its own, in which the real packages are fetched."""
    fetch_data(load_recipe("smoke"), REPOSITORY / ".fedcart")
    home = tmp_path / "home"
    home.mkdir()
    (home / "downloads").symlink_to(REPOSITORY / ".fedcart" / "downloads")

    def run(*words):
        variables = {"FEDCART_HOME": str(home), "PIP_INDEX_URL": "http://127.0.0.1:9"}
        return call_main(monkeypatch, capsys, ["data", *words], **variables)

    return run


def test_prepare_twice(fedcart):
    first = fedcart("prepare", "--recipe", "smoke", "--json")
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert document["unchanged"] is False
    assert set(document["parties"]) == {"camera-shop", "phone-shop"}
    assert set(document["coordinator"]) == {"public", "validation", "holdout"}
    assert json.loads(fedcart("prepare", "--recipe", "smoke", "--json").stdout) == {
        **document,
        "unchanged": True,
        "noted": [],
    }
    shown = fedcart("prepare", "--recipe", "smoke").stdout
    assert "Everything was in place already" in shown
    assert "licence not stated" in shown


def test_the_steps_by_themselves(fedcart):
    assert json.loads(fedcart("fetch", "--recipe", "smoke", "--json").stdout) == {"fetched": []}
    document = json.loads(fedcart("partition", "--recipe", "smoke", "--json").stdout)
    assert document["unchanged"] is False


def test_a_warning_goes_to_people_and_to_programs(fedcart, tmp_path):
    (tmp_path / "own.csv").write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(20)))
    for party in "ab":
        (tmp_path / f"{party}.csv").write_text("text,label\n")
    recipe = tmp_path / "few.yaml"
    recipe.write_text(
        "name: few\ndata: {parties: {a: {train: a.csv}, b: {train: b.csv}}, coordinator: {table: own.csv}}\n"
        "model: {source: org/name}\n"
    )
    said = fedcart("prepare", "--recipe", str(recipe), "--json")
    warning = json.loads(said.stdout)["warning"]
    assert "fewer than 50" in warning
    assert said.stderr == f"warning {warning}\n"
    assert warning in fedcart("prepare", "--recipe", str(recipe)).stderr


@pytest.mark.parametrize(
    ("recipe", "code"),
    [("nope", "recipe-unknown"), ("gone.yaml", "recipe-unknown"), ("pyproject.toml", "recipe-unknown")],
)
def test_a_refusal_is_one_sentence(fedcart, recipe, code):
    refused = fedcart("prepare", "--recipe", recipe, "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["code"] == code
    assert refused.stderr.startswith("error There is no recipe")
    assert "Traceback" not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_remote_needs_a_stack(fedcart):
    refused = fedcart("remote")
    assert refused.returncode == 2
    assert "settings-missing" in refused.stderr


@pytest.mark.parametrize("size", ["12k", "40k", "64k"])
def test_a_full_disk_is_one_sentence(tmp_path, size):
    """On a small file system, which only a mount name space of our own can have."""
    home = tmp_path / "small"
    home.mkdir()
    if subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", home], capture_output=True
    ).returncode:
        pytest.skip("this machine does not let a test mount a small file system")
    fetch_data(load_recipe("smoke"), REPOSITORY / ".fedcart")
    downloads = REPOSITORY / ".fedcart" / "downloads"
    script = (
        f"mount -t tmpfs -o size={size} tmpfs {home} && ln -s {downloads} {home}/downloads"
        f" && exec {sys.executable} -c 'from flows.cli.main import main; main()' data prepare --recipe smoke"
    )
    full = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "FEDCART_HOME": str(home), "COLUMNS": "200"},
    )
    assert full.returncode == 2
    assert "error The disk is full" in full.stderr
    assert "(disk-full)" in full.stderr
    assert "Traceback" not in full.stderr
