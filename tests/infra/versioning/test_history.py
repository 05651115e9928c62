import shutil
import subprocess
from datetime import UTC, datetime

import pygit2
import pytest

from fedmodels.errors import IntegrityError
from infra.versioning.history import History, is_begun

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def git(root, *words):
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def root(tmp_path):
    (tmp_path / "versions").mkdir()
    return tmp_path / "versions"


def test_what_is_committed_is_read_again(root):
    history = History(root)
    assert (history.head, history.folder("reviews")) == (None, {})
    first = history.commit({"reviews/1.json": b"1\r\n", "top": b"t"}, "One", NOW)
    second = history.commit({"reviews/2.json": b"2", "top": None}, "Two", NOW)
    again = History(root)
    assert again.head == second
    assert again.folder("reviews") == {"1.json": b"1\r\n", "2.json": b"2"}
    assert again.folder("other") == {}
    assert again.holds(first) and again.holds(second)
    assert not again.holds("0" * 40)
    assert git(root, "log", "--format=%an|%s|%aI").split("\n")[0] == (
        "fedcart data pin|Two|2026-01-02T03:04:05+00:00"
    )
    assert git(root, "status", "--short") == ""
    assert sorted(path.name for path in root.iterdir()) == [".git", "reviews"]


def test_neither_hooks_nor_the_users_own_configuration_come_into_it(root, tmp_path):
    history = History(root)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        "[user]\nname = Jane Doe\nemail = j@example.org\n[core]\nautocrlf = true\n[commit]\ngpgsign = true\n"
    )
    for hook in ("pre-commit", "commit-msg", "post-commit", "reference-transaction"):
        path = root / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
        path.chmod(0o755)
    level = pygit2.enums.ConfigLevel.GLOBAL
    before = pygit2.settings.search_path[level]
    pygit2.settings.search_path[level] = str(tmp_path / "home")
    try:
        history.commit({"a.json": b"line\r\n"}, "One", NOW)
    finally:
        pygit2.settings.search_path[level] = before
    assert not (tmp_path / "ran").exists()
    assert git(root, "log", "--format=%an %ae %cn %ce %G?").strip() == (
        "fedcart data pin data-pin@fedcart.invalid fedcart data pin data-pin@fedcart.invalid N"
    )
    shown = subprocess.run(["git", "show", "HEAD:a.json"], cwd=root, capture_output=True, check=True)
    assert shown.stdout == (root / "a.json").read_bytes() == b"line\r\n"


def test_a_commit_that_was_rewritten_is_in_the_history_no_more(root):
    history = History(root)
    first = history.commit({"a": b"1"}, "One", NOW)
    second = history.commit({"a": b"2"}, "Two", NOW)
    git(root, "-c", "user.name=x", "-c", "user.email=x", "commit", "--amend", "--quiet", "-m", "Other")
    assert History(root).holds(first)
    assert not History(root).holds(second)


INIT = ["HEAD", "config", "description", "hooks", "info", "objects", "refs"]


@pytest.mark.parametrize("made", range(len(INIT) + 1))
def test_an_init_that_was_killed_is_begun_anew(root, tmp_path, made):
    pygit2.init_repository(str(tmp_path / "whole"))
    (root / ".git").mkdir()
    (root / ".git-killed" / ".git").mkdir(parents=True)
    for name in INIT[:made]:
        place = tmp_path / "whole" / ".git" / name
        shutil.copytree(place, root / ".git" / name) if place.is_dir() else shutil.copy(place, root / ".git")
    assert not is_begun(root)
    commit = History(root).commit({"a": b"1"}, "One", NOW)
    assert is_begun(root)
    assert History(root).head == commit
    assert git(root, "config", "user.name").strip() == "fedcart data pin"
    assert sorted(path.name for path in root.iterdir()) == [".git", "a"]


def test_what_is_packed_is_begun(root):
    History(root).commit({"a": b"1"}, "One", NOW)
    head = History(root).head
    git(root, "gc", "--quiet", "--prune=now")
    assert is_begun(root)
    assert History(root).head == head


@pytest.mark.parametrize("damage", ["object", "head"])
def test_a_damaged_repository_is_one_sentence(root, damage):
    commit = History(root).commit({"reviews/1.json": b"1"}, "One", NOW)
    if damage == "object":
        path = root / ".git" / "objects" / commit[:2] / commit[2:]
        path.chmod(0o600)
        path.write_bytes(b"garbage")
    else:
        (root / ".git" / "HEAD").unlink()
    with pytest.raises(IntegrityError) as caught:
        History(root).folder("reviews")
    assert caught.value.code == "history-damaged"
