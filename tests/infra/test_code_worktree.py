"""The code of an earlier commit stands beside the checkout, which stays as it is."""

import shutil
import subprocess

import pytest

from fedmodels.errors import InputError
from infra.checkout import read_checkout
from infra.code_worktree import check_out_beside


def git(folder, *words) -> str:
    name = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *name, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A repository with two commits, and work in it that no commit holds."""
    root = tmp_path / "fedcart"
    root.mkdir()
    git(root, "init", "-q")
    for number in (1, 2):
        (root / "one.py").write_text(f"ONE = {number}\n")
        git(root, "add", ".")
        git(root, "commit", "-q", "-m", f"commit {number}")
    (root / "one.py").write_text("ONE = 3\n")
    return root


def first_commit(checkout) -> str:
    return git(checkout, "rev-parse", "HEAD~1")


def refused(*words, root) -> InputError:
    with pytest.raises(InputError) as caught:
        check_out_beside(*words, root=root)
    return caught.value


def test_the_commit_stands_in_the_folder_and_the_checkout_as_it_was(checkout, tmp_path):
    before = git(checkout, "rev-parse", "HEAD"), git(checkout, "status", "--short", "--branch")
    folder = tmp_path / "then"
    check_out_beside(first_commit(checkout), folder, checkout)
    assert (folder / "one.py").read_text() == "ONE = 1\n"
    assert read_checkout(folder).commit == first_commit(checkout)
    assert (git(checkout, "rev-parse", "HEAD"), git(checkout, "status", "--short", "--branch")) == before
    assert (checkout / "one.py").read_text() == "ONE = 3\n"


def test_twice_is_once_and_what_was_begun_there_stays(checkout, tmp_path):
    folder = tmp_path / "then"
    check_out_beside(first_commit(checkout), folder, checkout)
    (folder / ".venv").mkdir()
    check_out_beside(first_commit(checkout), folder, checkout)
    assert (folder / ".venv").is_dir()


def test_a_folder_that_holds_something_is_left_alone(checkout, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine\n")
    fault = refused(first_commit(checkout), tmp_path / "mine", root=checkout)
    assert fault.code == "folder-taken"
    assert "already exists" in str(fault)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_another_commit_in_the_folder_is_no_answer(checkout, tmp_path):
    folder = tmp_path / "then"
    check_out_beside(git(checkout, "rev-parse", "HEAD"), folder, checkout)
    assert refused(first_commit(checkout), folder, root=checkout).code == "folder-taken"
    assert (folder / "one.py").read_text() == "ONE = 2\n"


@pytest.mark.parametrize("change", ["rm", "edit"])
def test_a_folder_whose_files_are_gone_or_changed_is_no_answer(checkout, tmp_path, change):
    folder = tmp_path / "then"
    check_out_beside(first_commit(checkout), folder, checkout)
    (folder / "one.py").write_text("ONE = 9\n") if change == "edit" else (folder / "one.py").unlink()
    assert refused(first_commit(checkout), folder, root=checkout).code == "folder-taken"


def test_a_folder_that_somebody_removed_is_made_again(checkout, tmp_path):
    folder = tmp_path / "then"
    check_out_beside(first_commit(checkout), folder, checkout)
    shutil.rmtree(folder)
    check_out_beside(first_commit(checkout), folder, checkout)
    assert (folder / "one.py").read_text() == "ONE = 1\n"


def test_a_commit_that_is_not_here_is_told_and_makes_no_folder(checkout, tmp_path):
    assert refused("f" * 40, tmp_path / "then", root=checkout).code == "commit-missing"
    assert refused("f" * 40, tmp_path / "then", root=tmp_path).code == "commit-missing"
    assert not (tmp_path / "then").exists()


def test_a_hook_of_git_that_speaks_of_its_own_repository_changes_nothing(checkout, tmp_path, monkeypatch):
    commit = first_commit(checkout)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    check_out_beside(commit, tmp_path / "then", checkout)
    assert (tmp_path / "then" / "one.py").exists()


def test_a_machine_without_git_is_told(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused("f" * 40, tmp_path / "then", root=checkout).code == "git-missing"
