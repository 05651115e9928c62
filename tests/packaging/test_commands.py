"""The Makefile and CI: the targets that the documentation names, and one list of checks everywhere."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = {
    "help",
    "setup",
    "demo",
    "demo-drift",
    "smoke",
    "test",
    "gpu",
    "faults",
    "soak",
    "lint",
    "check",
    "format",
    "bench",
    "clean",
}


# `make test` hands its own variables and flags down; the make that is looked at here shall not have them.
OURS = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS", "KEEP", "BENCH", "PYTHON"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in OURS}


def make(*arguments: str) -> str:
    done = subprocess.run(
        ["make", *arguments], capture_output=True, text=True, cwd=ROOT, check=True, env=ENVIRONMENT
    )
    return done.stdout


def plan_of(*arguments: str) -> str:
    """What make would run, without running it."""
    return make("-n", *arguments)


def test_help_is_the_default_and_names_every_target():
    assert set(re.findall(r"^  make ([\w-]+)", make(), flags=re.MULTILINE)) == TARGETS


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["demo"], ".venv/bin/fedcart demo"),
        (["demo", "KEEP=1"], ".venv/bin/fedcart demo --keep"),
        (["demo", "KEEP=0", "ARGS=--json --baselines"], ".venv/bin/fedcart demo --json --baselines"),
        (["demo-drift", "ARGS=--json --worse"], ".venv/bin/fedcart drift demo --json --worse"),
        (["demo-drift", "KEEP=1"], ".venv/bin/fedcart drift demo --keep"),
        (["smoke"], ".venv/bin/fedcart demo --recipe smoke"),
        (["test", "ARGS=-x"], ".venv/bin/python -m pytest -n 2 --no-loadscope-reorder -x"),
        (["faults", "ARGS=--minutes 5"], ".venv/bin/python -m tests.faults --minutes 5"),
    ],
)
def test_what_a_target_runs_after_set_up(arguments, command):
    lines = [" ".join(line.split()) for line in plan_of(*arguments).splitlines()]
    assert any("tools/set_up.py" in line for line in lines)
    assert lines[-1] == command


def test_check_is_lint_and_tests():
    assert plan_of("check").splitlines()[-1].startswith(".venv/bin/python -m pytest")
    assert set(plan_of("lint").splitlines()) <= set(plan_of("check").splitlines())


def test_pre_commit_runs_what_lint_runs():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    for tool in re.findall(r"^\.venv/bin/([\w-]+)", plan_of("lint"), flags=re.MULTILINE):
        assert f".venv/bin/{tool}" in hooks
    assert "https://" not in hooks


def test_ci_is_executable_and_runs_lint_and_test():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert {"setup", "lint", "test"} == set(
        re.findall(r"^make (\w+)", script.read_text(), flags=re.MULTILINE)
    )
