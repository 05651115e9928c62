"""The code that runs: its commit, whether it was changed, its pins."""

import subprocess

import pytest

from infra.checkout import ROOT, Checkout, read_checkout
from infra.file_hash import file_sha256


def git(folder, *words) -> str:
    name = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *name, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "one.py").write_text("ONE = 1\n")
    (tmp_path / "README.md").write_text("read me\n")
    (tmp_path / "constraints.txt").write_text("torch==1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "begin")
    return tmp_path


def test_a_clean_checkout_is_named_by_its_commit(checkout):
    pins = file_sha256(checkout / "constraints.txt")
    assert read_checkout(checkout) == Checkout(git(checkout, "rev-parse", "HEAD"), False, pins)


@pytest.mark.parametrize("name", ["tasks/one.py", "tasks/new.py", "constraints.txt"])
def test_code_that_was_changed_is_told(checkout, name):
    (checkout / name).write_text("TWO = 2\n")
    assert read_checkout(checkout).modified


def test_what_decides_nothing_may_change(checkout):
    (checkout / "README.md").write_text("read this\n")
    (checkout / "notes.txt").write_text("mine\n")
    assert not read_checkout(checkout).modified


def test_outside_of_a_checkout_there_is_no_commit(tmp_path, checkout):
    assert read_checkout(checkout / "tasks") == Checkout("", False, None), "a folder of somebody's repository"


def test_before_the_first_commit_there_is_none(tmp_path):
    git(tmp_path, "init", "-q")
    assert read_checkout(tmp_path) == Checkout("", True, None)


def test_our_own_pins_are_found():
    assert read_checkout().constraints_sha256 == file_sha256(ROOT / "constraints.txt")


def test_a_repository_that_cannot_be_opened_tells_no_commit(checkout):
    config = checkout / ".git" / "config"
    config.write_text("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tfromthefuture = true\n")
    assert read_checkout(checkout) == Checkout("", False, file_sha256(checkout / "constraints.txt"))


def test_a_damaged_index_tells_no_commit(checkout):
    (checkout / ".git" / "index").write_bytes(b"no index")
    assert read_checkout(checkout).commit == ""
