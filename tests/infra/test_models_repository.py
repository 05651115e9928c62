"""The repository of releases: a branch of its own, tags that stand once, and what is refused."""

import os
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import gto.api
import pygit2
import pytest

from fedmodels.errors import FedcartError
from infra import models_repository
from infra.models_branch import BRANCH
from infra.models_repository import open_models_repository

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def git(folder, *words) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def record(place, own, number: int, tags=True) -> str:
    """A release as `tasks` would leave it."""
    with open_models_repository(place, own) as repository:
        at = AT + timedelta(seconds=10 * number)
        made = repository.commit({"models/a.dvc": b"%d\n" % number}, f"release {number}", at)
        names = [f"a@v{number}.0.0", f"a#champion#{number}"] if tags else []
        for name in names:
            assert repository.tag(name, made, name, at)
        repository.publish(names)
    return made


def code_of(*arguments) -> str:
    with pytest.raises(FedcartError) as caught, open_models_repository(*arguments):
        pass
    return caught.value.code


@pytest.fixture
def own(tmp_path):
    return tmp_path / "coordinator" / "models-repository"


@pytest.fixture
def users(tmp_path):
    """A repository of a user's, with a configuration that would spoil a commit of `git commit`."""
    folder = tmp_path / "users"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name, value in (
        ("user.name", "Ann"),
        ("user.email", "ann@example.com"),
        ("core.autocrlf", "true"),
        ("commit.gpgsign", "false"),
    ):
        git(folder, "config", name, value)
    (folder / "code.py").write_text("print()\n")
    git(folder, "add", "code.py")
    git(folder, "commit", "--quiet", "-m", "code")
    git(folder, "config", "commit.gpgsign", "true")
    git(folder, "config", "gpg.program", "false")
    hook = folder / ".git" / "hooks" / "commit-msg"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    return folder


def test_one_of_our_own_is_private_and_gto_shows_its_releases(own):
    first, second = record(None, own, 1), record(None, own, 2)
    assert own.stat().st_mode & 0o777 == 0o700
    versions = {row["version"]: row["commit_hexsha"] for row in gto.api.show(str(own), "a")}
    assert versions == {"v1.0.0": first, "v2.0.0": second}
    (champion,) = gto.api.show(str(own), "a#champion")
    assert champion["version"] == "v2.0.0"
    assert git(own, "log", "-1", "--format=%an <%ae> %cn %ct") == (
        f"fedcart release <release@fedcart.invalid> fedcart release {int(AT.timestamp()) + 20}"
    )
    assert git(own, "status", "--short") == ""
    assert (own / "models" / "a.dvc").read_text() == "2\n"


def test_its_working_tree_follows_again_after_a_kill_between_commit_and_checkout(own, monkeypatch):
    record(None, own, 1)
    with monkeypatch.context() as patched:
        patched.setattr(models_repository.ModelsRepository, "show", lambda _: None)
        record(None, own, 2)
    assert (own / "models" / "a.dvc").read_text() == "1\n"
    with open_models_repository(None, own):
        pass
    assert (own / "models" / "a.dvc").read_text() == "2\n"


def test_a_users_branch_hooks_signing_and_line_ends_are_left_alone(own, users):
    head = git(users, "rev-parse", "main")
    made = record(str(users), own, 1)
    assert git(users, "rev-parse", BRANCH) == made
    assert git(users, "rev-parse", "main") == head
    assert git(users, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(users, "status", "--short") == ""
    assert not (users / "models").exists()
    assert git(users, "show", f"{BRANCH}:models/a.dvc") == "1"
    with open_models_repository(str(users), own) as repository:
        assert repository.files(made) == {"models/a.dvc": b"1\n"}
    assert not (own / ".git").exists()


@pytest.mark.parametrize("change", ["untracked", "changed", "staged"])
def test_a_dirty_tree_is_refused(own, users, change):
    name = "new.py" if change == "untracked" else "code.py"
    (users / name).write_text("something else\n")
    if change == "staged":
        git(users, "add", name)
    assert code_of(str(users), own) == "models-dirty"


def test_a_branch_that_somebody_works_on_is_refused(own, users):
    record(str(users), own, 1)
    git(users, "checkout", "--quiet", BRANCH)
    assert code_of(str(users), own) == "models-branch"


def test_a_place_without_a_repository(own, tmp_path):
    assert code_of(str(tmp_path / "nowhere"), own) == "models-missing"


def test_a_history_that_was_rewritten_is_refused(own, users):
    first = record(str(users), own, 1)
    second = record(str(users), own, 2)
    git(users, "branch", "--quiet", "--force", BRANCH, first)
    assert code_of(str(users), own) == "models-rewritten"
    git(users, "branch", "--quiet", "--delete", "--force", BRANCH)
    assert code_of(str(users), own) == "models-rewritten"
    git(users, "branch", "--quiet", BRANCH, second)
    record(str(users), own, 3)


def test_a_tag_that_was_moved_is_refused(own):
    first, second = record(None, own, 1), record(None, own, 2)
    git(own, "tag", "--force", "a@v1.0.0", second)
    with open_models_repository(None, own) as repository:
        assert not repository.tag("a@v2.0.0", second, "", AT)
        with pytest.raises(FedcartError) as caught:
            repository.tag("a@v1.0.0", first, "", AT)
    assert caught.value.code == "models-rewritten"


def test_one_writer_at_a_time(own, monkeypatch):
    monkeypatch.setattr(models_repository, "LOCK_TIMEOUT_S", 0.2)
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with open_models_repository(None, own):
            inside.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert inside.wait(10)
        assert code_of(None, own) == "models-busy"
    finally:
        leave.set()
        holder.join()
    record(None, own, 1)


def test_a_branch_that_moved_meanwhile_is_not_overwritten(own, monkeypatch):
    record(None, own, 1)
    with open_models_repository(None, own) as repository:
        stale = repository.tip
        moved = repository.commit({"a": b"1"}, "another process", AT)
        tips = iter([stale, moved])
        monkeypatch.setattr(models_repository.ModelsRepository, "tip", property(lambda _: next(tips)))
        with pytest.raises(FedcartError) as caught:
            repository.commit({"a": b"2"}, "late", AT)
        monkeypatch.undo()
        assert caught.value.code == "models-busy"
        assert repository.tip == moved


@pytest.mark.parametrize("name", ["HEAD", "index", f"refs/heads/{BRANCH}", "refs/tags/a@v2.0.0"])
def test_a_lock_of_gits_that_a_kill_left_is_cleared(own, name):
    record(None, own, 1)
    (own / ".git" / f"{name}.lock").touch()
    record(None, own, 2)
    assert git(own, "status", "--short") == ""


def test_a_lock_that_a_killed_fetch_left_is_cleared(own, tmp_path):
    there = tmp_path / "there.git"
    git(tmp_path, "init", "-q", "--bare", str(there))
    place = f"file://{there}"
    record(place, own, 1)
    record(place, own.with_name("another"), 2)
    lock = own / ".git" / "refs" / "fedcart" / "fetched" / f"{BRANCH}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    record(place, own, 3)


def test_in_a_users_repository_only_old_locks_are_cleared(own, users):
    record(str(users), own, 1)
    lock = users / ".git" / "refs" / "heads" / f"{BRANCH}.lock"
    lock.touch()
    with pytest.raises(FedcartError) as caught:
        record(str(users), own, 2)
    assert caught.value.code == "models-busy"
    assert lock.exists()
    os.utime(lock, (0, 0))
    record(str(users), own, 2)


def test_each_commit_says_what_it_changed_oldest_first(own):
    first = record(None, own, 1)
    with open_models_repository(None, own) as repository:
        second = repository.commit({"b": b"1", "models/a.dvc": None}, "another", AT)
        third = repository.commit({}, "nothing", AT)
        told = [(each.commit, each.paths) for each in repository.changes()]
    assert told == [(first, {"models/a.dvc"}), (second, {"b", "models/a.dvc"}), (third, frozenset())]


def test_what_its_caller_refused_may_be_put_back(own, users):
    good = record(str(users), own, 1)
    with pytest.raises(KeyError), open_models_repository(str(users), own):
        raise KeyError
    tree = git(users, "rev-parse", f"{BRANCH}^{{tree}}")
    foreign = git(users, "-c", "commit.gpgsign=false", "commit-tree", "-p", good, "-m", "x", tree)
    git(users, "update-ref", f"refs/heads/{BRANCH}", foreign)
    with pytest.raises(KeyError), open_models_repository(str(users), own):
        raise KeyError
    git(users, "update-ref", f"refs/heads/{BRANCH}", good)
    with open_models_repository(str(users), own) as repository:
        assert repository.tip == good


def test_a_damaged_object_is_told(own):
    made = record(None, own, 1)
    path = own / ".git" / "objects" / made[:2] / made[2:]
    path.chmod(0o600)
    path.write_bytes(b"rotten")
    with pytest.raises(FedcartError) as caught, open_models_repository(None, own) as repository:
        list(repository.changes())
    assert caught.value.code == "models-damaged"


class TestByUrl:
    @pytest.fixture
    def there(self, tmp_path):
        folder = tmp_path / "there.git"
        pygit2.init_repository(str(folder), bare=True, initial_head=BRANCH)
        return folder

    def test_branch_and_tags_arrive_and_two_machines_take_turns(self, own, there, tmp_path, monkeypatch):
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "of a hook"))
        monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "of a hook"))
        url, other = f"file://{there}", tmp_path / "other" / "models-repository"
        record(url, own, 1)
        record(url, other, 2)
        made = record(url, own, 3)
        monkeypatch.undo()
        assert git(there, "rev-parse", BRANCH) == made
        assert git(there, "tag").split() == sorted(
            f"a{how}" for n in "123" for how in (f"@v{n}.0.0", f"#champion#{n}")
        )
        (champion,) = gto.api.show(str(there), "a#champion")
        assert champion["version"] == "v3.0.0"

    def test_what_was_not_pushed_is_pushed_later(self, own, there, tmp_path):
        url, aside = f"file://{there}", tmp_path / "aside"
        record(url, own, 1)
        there.rename(aside)
        assert code_of(url, own) == "models-remote"
        aside.rename(there)
        record(url, own, 2)

    def test_a_remote_that_refuses_gets_nothing_at_all(self, own, there):
        url = f"file://{there}"
        record(url, own, 1)
        hook = there / "hooks" / "update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text('#!/bin/sh\ncase "$1" in *champion*) exit 1;; esac\n')
        hook.chmod(0o755)
        before = git(there, "show-ref")
        with pytest.raises(FedcartError) as caught:
            record(url, own, 2)
        assert caught.value.code == "models-remote"
        assert git(there, "show-ref") == before
        hook.unlink()
        with open_models_repository(url, own) as repository:
            repository.publish(["a@v2.0.0", "a#champion#2"])
        assert "a@v2.0.0" in git(there, "tag").split()

    def test_of_two_pushes_at_once_the_second_begins_anew(self, own, there, tmp_path):
        url, other = f"file://{there}", tmp_path / "other" / "models-repository"
        record(url, own, 1)
        with open_models_repository(url, own) as repository:
            made = record(url, other, 2)
            late = repository.commit({"models/a.dvc": b"late"}, "late", AT)
            repository.tag("a@v3.0.0", late, "", AT)
            with pytest.raises(FedcartError) as caught:
                repository.publish(["a@v3.0.0"])
        assert caught.value.code == "models-busy"
        with open_models_repository(url, own) as repository:
            assert repository.tip == made
            assert "refs/tags/a@v3.0.0" not in repository.git.references

    def test_a_rewritten_remote_is_refused(self, own, there, tmp_path):
        url = f"file://{there}"
        first = record(url, own, 1)
        record(url, own, 2)
        git(there, "update-ref", f"refs/heads/{BRANCH}", first)
        record(url, tmp_path / "other" / "models-repository", 9)
        assert code_of(url, own) == "models-rewritten"
        git(there, "update-ref", "-d", f"refs/heads/{BRANCH}")
        assert code_of(url, own) == "models-rewritten"

    def test_a_tag_that_is_another_there_is_refused(self, own, there, tmp_path):
        url = f"file://{there}"
        first = record(url, own, 1)
        git(there, "tag", "a@v2.0.0", first)
        with pytest.raises(FedcartError) as caught:
            record(url, own, 2)
        assert caught.value.code == "models-rewritten"

    def test_a_login_in_the_url_is_not_told(self, own, tmp_path):
        with (
            pytest.raises(FedcartError) as caught,
            open_models_repository("https://ann:secret@127.0.0.1:9/models.git", own),
        ):
            pass
        assert caught.value.code == "models-remote"
        assert "secret" not in str(caught.value)
