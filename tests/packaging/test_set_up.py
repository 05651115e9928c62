"""The set-up script: what it refuses and in which words, and when it does something or nothing."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from infra import diagnosis

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script as a module, working in a folder of its own with a project of its own."""
    spec = importlib.util.spec_from_file_location("set_up", ROOT / "tools" / "set_up.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in module.INPUTS:
        (tmp_path / name).write_text(f"contents of {name}")
    environment = tmp_path / ".venv"
    for name, path in {
        "ROOT": tmp_path,
        "ENVIRONMENT": environment,
        "PYTHON": environment / "bin" / "python",
        "STAMP": environment / "stamp",
        "BEGUN": environment / "begun",
    }.items():
        monkeypatch.setattr(module, name, path)
    return module


def complete(script) -> None:
    script.PYTHON.parent.mkdir(parents=True)
    script.PYTHON.touch()
    facts = f"version = 3.11.7\ncommand = python3.11 -m venv {script.ENVIRONMENT}\n"
    (script.ENVIRONMENT / "pyvenv.cfg").write_text(facts)
    script.STAMP.write_text(script.fingerprint())


def test_this_machine_will_do(script):
    lines = script.look()
    assert f"{sys.version_info[0]}.{sys.version_info[1]}." in lines[0]
    assert "0.55 GB into .venv" in lines[1]


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (("Windows", "AMD64", 99.0, 16.0), r"this is Windows AMD64; use another .* \(WSL 2\)\.$"),
        (("Linux", "i686", 99.0, 16.0), "this is Linux i686"),
        (
            ("Linux", "x86_64", 5.9, 16.0),
            r"^6\.0 GB of free disk are needed here, and there are 5\.9; make room\.$",
        ),
        (("Linux", "x86_64", 99.0, 3.9), r"^4 GB of memory are needed, and there are 3\.9"),
    ],
)
def test_a_machine_that_will_not_do(script, facts, sentence):
    with pytest.raises(script.SetUpRefused, match=sentence):
        script.check_machine(*facts)


@pytest.mark.parametrize("machine", [("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")])
def test_machines_that_will_do(script, machine):
    script.check_machine(*machine, 6.1, 4.1)


def test_a_mac_with_an_intel_processor_is_refused_before_anything_is_fetched(script):
    with pytest.raises(script.SetUpRefused, match="Apple processor, and this has one of Intel's"):
        script.check_machine("Darwin", "x86_64", 100.0, 16.0)


def test_an_update_of_pins_needs_less_room(script):
    complete(script)
    script.check_machine("Linux", "x86_64", 3.6, 8.0)


def test_the_doctor_asks_for_as_much_room_for_a_run(script):
    assert script.SPARE_GB == diagnosis.LEAST_FREE_GB


def test_another_python_is_named_with_the_next_step(script, monkeypatch):
    monkeypatch.setattr(script.shutil, "which", lambda name: None)
    with pytest.raises(
        script.SetUpRefused, match=r"Python 3\.11 is needed, and this is Python 3\.9; install it"
    ):
        script.check_python((3, 9))


def test_it_is_current_until_a_file_changes(script):
    assert not script.is_current()
    complete(script)
    assert script.is_current()
    (script.ROOT / "constraints.txt").write_text("another pin")
    assert not script.is_current()
    assert script.is_whole()


def test_an_interrupted_set_up_is_neither_current_nor_whole(script):
    complete(script)
    script.BEGUN.touch()
    assert not script.is_current()
    assert not script.is_whole()


def test_an_environment_made_by_hand_is_brought_up_to_date(script):
    complete(script)
    script.STAMP.unlink()
    assert not script.is_current()
    assert script.is_whole()


@pytest.mark.parametrize("change", [("3.11.7", "3.12.1"), ("/.venv", "/elsewhere/.venv")])
def test_an_environment_of_another_python_or_place_is_made_anew(script, change):
    complete(script)
    facts = script.ENVIRONMENT / "pyvenv.cfg"
    facts.write_text(facts.read_text().replace(*change))
    assert not script.is_whole()


def test_a_new_environment_is_marked_as_begun_and_holds_nothing_old(script):
    script.PYTHON.parent.mkdir(parents=True)
    (script.ENVIRONMENT / "old").touch()
    script.make_environment()
    assert script.BEGUN.exists()
    assert not (script.ENVIRONMENT / "old").exists()
    script.BEGUN.unlink()
    assert script.is_whole()


def test_pip_that_fails_leaves_the_mark(script, monkeypatch):
    complete(script)
    script.PYTHON.write_text("#!/bin/sh\nexit 7\n")
    script.PYTHON.chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError):
        script.install()
    assert script.BEGUN.exists()
    assert not script.STAMP.exists()


def test_pip_that_succeeds_takes_the_mark_away(script):
    complete(script)
    (script.ROOT / "constraints.txt").write_text("another pin")
    script.PYTHON.write_text('#!/bin/sh\necho "$@" >> arguments\n')
    script.PYTHON.chmod(0o755)
    script.install()
    assert script.is_current()
    pip, project, compiled, *database = (script.ROOT / "arguments").read_text().splitlines()
    assert "    prepare_database(Path('.fedcart/stack/prefect'))" in database
    assert pip.endswith(f" pip=={script.PIP}")
    assert project.endswith(" -c constraints.txt -e .[dev]")
    assert "compileall" in compiled


def fails_at_the_database(script, monkeypatch):
    """A project whose own code makes no database, and a pip that has nothing to do."""
    for folder in ("fedmodels", "infra"):
        (script.ROOT / folder).symlink_to(ROOT / folder)
    (script.ROOT / ".fedcart").write_text("in the way")
    called = f'#!/bin/sh\nif [ "$1" = -c ]; then exec {sys.executable} "$@"; fi\n'
    script.PYTHON.write_text(called)
    script.PYTHON.chmod(0o755)
    monkeypatch.setattr(sys, "argv", ["set_up.py"])
    monkeypatch.setenv("PYTHONPATH", str(script.ROOT))


def test_a_database_that_is_not_made_is_named_and_the_packages_stay(script, monkeypatch, capfd):
    complete(script)
    (script.ROOT / "constraints.txt").write_text("another pin")
    fails_at_the_database(script, monkeypatch)
    assert script.main() == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert "setup: [Errno 20] Not a directory" in said
    assert "the database of the local Prefect server could not be made" in said
    assert "network" not in said
    assert script.is_whole()
    assert not script.is_current()
