"""A pin makes a version of what differs, keeps it whole, and pushes it."""

import errno
import multiprocessing
import os
import shutil
import subprocess
import sys

import pytest

from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import write_table
from fedmodels.errors import FedcartError, IntegrityError
from infra.settings import Tables
from infra.versioning import cache as caching
from infra.versioning.remote import Remote
from tasks.party.versions import pinning
from tasks.party.versions.bringing_back import list_versions
from tasks.party.versions.pinning import pin_tables


def listed(shop):
    return [(each.version.number, each.pushed, each.runs) for each in list_versions(shop.desk, "mine")]


def refused(call, code):
    with pytest.raises(FedcartError) as caught:
        call()
    assert caught.value.code == code
    return str(caught.value)


def test_the_same_tables_are_one_version(shop, monkeypatch):
    first = shop.pin("run-1")
    assert (first.version.number, first.made, first.pushed, first.push_error) == (1, True, 1, None)
    assert {name: table.rows for name, table in first.version.tables.items()} == {"train": 20, "holdout": 5}
    again = shop.pin("run-2")
    assert (again.version, again.made, again.pushed) == (first.version, False, 0)
    shop.write("train", 20)  # the same bytes at another time
    assert shop.pin().made is False
    assert listed(shop) == [(1, True, ("run-1", "run-2"))]


def test_tables_that_did_not_change_are_not_read_again(shop, monkeypatch):
    for name in ("train", "holdout"):
        os.utime(shop.place / f"{name}.csv", (1_000_000_000, 1_000_000_000))
    shop.pin()
    monkeypatch.setattr(pinning, "has_bytes_of", lambda *_: pytest.fail("a table was read"))
    monkeypatch.setattr(caching, "_opened", lambda root: pytest.fail("DVC was opened"))
    assert shop.pin().made is False
    monkeypatch.undo()
    (shop.place / "train.csv").write_text((shop.place / "train.csv").read_text().replace("text 3", "text X"))
    assert shop.pin().version.number == 2  # as long as it was, and changed


def test_a_table_that_was_just_written_is_read_again(shop):
    """It may change once more within the same tick of the file system's clock."""
    shop.pin()
    assert shop.pin().made is False
    path = shop.place / "train.csv"
    marks = path.stat()
    path.write_text(path.read_text().replace("text 3", "text X"))
    os.utime(path, ns=(marks.st_atime_ns, marks.st_mtime_ns))
    assert shop.pin().version.number == 2


def test_a_table_that_is_still_there_mends_what_was_damaged_in_the_cache(shop):
    first = shop.pin()
    damaged, gone = shop.cached
    whole = {path: path.read_bytes() for path in shop.cached}
    damaged.chmod(0o600)
    damaged.write_bytes(b"X" * damaged.stat().st_size)
    gone.unlink()
    again = shop.pin()
    assert (again.version, again.made) == (first.version, False)
    assert {path: path.read_bytes() for path in shop.cached} == whole


def settle(shop):
    """Let the tables be as old as those that nobody is about to write again."""
    for path in shop.place.glob("*.csv"):
        os.utime(path, (1e9, 1e9))


def test_a_table_that_is_still_there_fills_a_cache_and_a_remote_that_were_emptied(shop):
    settle(shop)
    first = shop.pin()
    whole = {path: path.read_bytes() for path in shop.cached}
    for path in whole:
        path.unlink()
    shutil.rmtree(shop.remote)
    again = shop.pin(pushing="what is lost")
    assert (again.version, again.made, again.pushed, again.push_error) == (first.version, False, 1, None)
    assert {path: path.read_bytes() for path in shop.cached} == whole


def test_what_is_damaged_in_the_cache_is_filled_from_the_table_by_whoever_asks(shop):
    settle(shop)
    shop.pin()
    whole = {path: path.read_bytes() for path in shop.cached}
    shutil.rmtree(shop.remote)
    for path in whole:
        path.chmod(0o600)
        path.write_bytes(b"X" * path.stat().st_size)
        path.chmod(0o444)
    again = shop.pin(pushing="what is lost")
    assert (again.made, again.pushed, again.push_error) == (False, 1, None)
    assert {path: path.read_bytes() for path in shop.cached} == whole


def test_an_old_version_that_is_damaged_in_the_cache_is_fetched_and_not_sent_anew(shop):
    shop.pin()
    old = {path: path.read_bytes() for path in shop.cached}
    shop.write("train", 30)
    shop.write("holdout", 6)
    shop.pin()
    for path in old:
        path.chmod(0o600)
        path.write_bytes(b"X" * path.stat().st_size)
    again = shop.pin(pushing="all anew")
    assert (again.pushed, again.push_error) == (2, None)
    assert {path: path.read_bytes() for path in old} == old
    assert set(at_remote(shop)) == {path.parent.name + path.name for path in shop.cached}


def test_what_the_cache_let_go_is_left_to_the_remote(shop):
    """Whoever lets old contents go, and then loses the list of what was pushed, gets none of them back."""
    first = {table.md5 for table in shop.pin().version.tables.values()}
    shop.write("train", 30)
    shop.write("holdout", 6)
    shop.pin()
    for path in shop.cached:
        if path.parent.name + path.name in first:
            path.unlink()
    (pushed,) = shop.desk.state.rglob("pushed*.json")
    pushed.unlink()
    again = shop.pin(pushing="all anew")
    assert (again.pushed, again.push_error) == (2, None)
    assert first.isdisjoint(path.parent.name + path.name for path in shop.cached)
    assert first < set(at_remote(shop))


def test_fresh_rows_make_a_new_version_and_old_ones_stay(shop):
    first = shop.pin().version
    shop.write("fresh", 3)
    second = shop.pin().version
    assert set(second.tables) == {"train", "holdout", "fresh"}
    (shop.place / "fresh.csv").unlink()
    third = shop.pin().version
    assert (third.number, third.keyed_hash) == (3, first.keyed_hash)
    assert [number for number, _, _ in listed(shop)] == [1, 2, 3]


def test_equal_tables_of_two_parties_cannot_be_recognised(shop, another_shop):
    one, other = shop.pin().version, another_shop.pin().version
    assert one.tables == other.tables
    assert one.keyed_hash != other.keyed_hash


def test_a_table_that_is_rewritten_in_place_leaves_what_was_pinned(shop):
    before = shop.pin().version.tables["train"].md5
    with (shop.place / "train.csv").open("r+b") as stream:
        stream.seek(20)
        stream.write(b"XXXX")
    assert before in {path.parent.name + path.name for path in shop.cached}
    assert all(path.stat().st_nlink == 1 for path in shop.cached)
    shop.pin()
    assert listed(shop)[0][0] == 1


def test_nobody_else_can_look_into_the_folders(shop):
    before = os.umask(0)  # the most careless of users
    try:
        shop.pin()
    finally:
        os.umask(before)
    root = shop.desk.root
    assert root.stat().st_mode & 0o777 == 0o700
    folders = [root / ".dvc", root / ".dvc" / "tmp", root / ".state", root / ".dvc" / "cache"]
    folders += [path for path in (root / ".dvc" / "cache").rglob("*") if path.is_dir()]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    for name in (".state/key", ".dvc/config.local"):
        assert (root / name).stat().st_mode & 0o777 == 0o600


def test_the_users_own_dvc_configuration_decides_nothing(shop, tmp_path, monkeypatch):
    (tmp_path / "global").mkdir()
    (tmp_path / "global" / "config").write_text(
        f"[core]\n    remote = theirs\n    site_cache_dir = {tmp_path}/site\n    hardlink_lock = true\n"
        f"['remote \"theirs\"']\n    url = {tmp_path}/theirs\n"
        f"[cache]\n    dir = {tmp_path}/cache\n    type = hardlink\n    shared = group\n"
    )
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "global"))
    assert shop.pin().pushed == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["global", "shop-a"]
    assert len(shop.cached) == 2
    assert all(path.stat().st_nlink == 1 for path in shop.cached)


def test_whoever_works_there_with_dvc_and_git_finds_everything_in_order(shop):
    shop.pin()
    for words in (["dvc", "checkout"], ["dvc", "status"]):
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=shop.desk.root, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
    assert (shop.desk.root / "mine" / "train.csv").read_text() == (shop.place / "train.csv").read_text()
    status = subprocess.run(["git", "status", "--short"], cwd=shop.desk.root, capture_output=True, text=True)
    assert status.stdout == ""


def test_a_remote_that_is_gone_costs_the_push_alone_and_the_next_pin_makes_up_for_it(shop, tmp_path):
    shop.remote.rmdir()
    shop.remote.write_text("no folder")
    pinned = shop.pin()
    assert (pinned.version.number, pinned.pushed, pinned.push_error.code) == (1, 0, "remote-unreachable")
    assert str(tmp_path) not in str(pinned.push_error)
    shop.write("train", 30)
    shop.pin()
    assert [pushed for _, pushed, _ in listed(shop)] == [False, False]
    shop.remote.unlink()
    again = shop.pin()
    assert (again.made, again.pushed, again.push_error) == (False, 2, None)
    assert [pushed for _, pushed, _ in listed(shop)] == [True, True]


@pytest.mark.parametrize(
    "remote",
    [Remote("nonsense://place", {}), Remote("/tmp/x", {"misspelt": "1"}), Remote("gs://bucket/x", {})],
)
def test_a_remote_that_dvc_cannot_use(shop, monkeypatch, remote):
    monkeypatch.setattr(type(shop), "desk", property(lambda own: pinning.VersionDesk("a", own.place, remote)))
    try:
        error = shop.pin().push_error
    except FedcartError as raised:
        error = raised
    assert error.code == "remote-invalid"
    assert remote.url not in str(error)


def test_another_remote_has_nothing_yet(shop, tmp_path):
    shop.pin()
    shop.remote = tmp_path / "other"
    assert listed(shop) == [(1, False, ())]
    assert shop.pin().pushed == 1
    assert list((tmp_path / "other").rglob("*"))


def at_remote(shop):
    """Objects at the remote, by name."""
    return {path.parent.name + path.name: path for path in shop.remote.rglob("*") if path.is_file()}


@pytest.mark.parametrize("since", ["data pin", "a session"])
def test_what_a_remote_lost_before_a_newer_version_came_is_pushed_again(shop, since):
    shop.pin()
    shutil.rmtree(shop.remote)
    shop.remote.mkdir()
    shop.write("train", 21)
    if since == "a session":
        assert shop.pin("run-1").pushed == 1
    again = shop.pin(pushing="what is lost")
    assert again.pushed == (1 if since == "a session" else 2)
    assert len([path for path in shop.remote.rglob("*") if path.is_file()]) == 3


@pytest.mark.parametrize("lost", ["all", "one table", "half of a table"])
def test_what_the_remote_has_lost_is_pushed_again(shop, lost):
    shop.pin()
    shop.write("train", 30)
    newest = shop.pin().version
    before = {name: path.read_bytes() for name, path in at_remote(shop).items()}
    assert len(before) == 3
    path = at_remote(shop)[newest.tables["train"].md5]
    if lost == "all":
        shutil.rmtree(shop.remote)
        shop.remote.mkdir()
    elif lost == "one table":
        path.unlink()
    else:
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-7])
        path.chmod(0o444)
    assert shop.pin().pushed == 0, "a session goes by what is noted"
    again = shop.pin(pushing="what is lost")
    assert (again.made, again.pushed, again.push_error) == (False, 2 if lost == "all" else 1, None)
    assert {name: path.read_bytes() for name, path in at_remote(shop).items()} == before
    assert [pushed for _, pushed, _ in listed(shop)] == [True, True]
    assert shop.pin(pushing="what is lost").pushed == 0


def test_what_was_let_go_at_both_places_stays_gone(shop):
    first = shop.pin().version.tables["train"].md5
    shop.write("train", 30)
    shop.pin()
    (kept,) = [path for path in shop.cached if path.parent.name + path.name == first]
    for path in (kept, at_remote(shop)[first]):
        path.unlink()
    assert shop.pin(pushing="what is lost").pushed == 0
    shutil.rmtree(shop.remote)
    again = shop.pin(pushing="what is lost")
    assert (again.pushed, again.push_error) == (1, None)
    assert first not in at_remote(shop)


def test_everything_is_pushed_anew_on_demand(shop):
    """Damage that leaves the size of an object is told by nothing but its content."""
    shop.pin()
    shop.write("train", 30)
    shop.pin()
    before = {name: path.read_bytes() for name, path in at_remote(shop).items()}
    for path in at_remote(shop).values():
        path.chmod(0o600)
        path.write_bytes(b"x" * path.stat().st_size)
        path.chmod(0o444)
    assert shop.pin(pushing="what is lost").pushed == 0
    again = shop.pin(pushing="all anew")
    assert (again.pushed, again.push_error) == (2, None)
    assert {name: path.read_bytes() for name, path in at_remote(shop).items()} == before


def test_a_remote_that_cannot_be_looked_at_is_told(shop):
    shop.pin()
    shutil.rmtree(shop.remote)
    shop.remote.write_text("no folder")
    pinned = shop.pin(pushing="what is lost")
    assert (pinned.pushed, pinned.push_error.code) == (0, "remote-unreachable")
    shop.remote.unlink()
    assert shop.pin(pushing="what is lost").pushed == 1


def test_a_damaged_object_is_not_pushed_and_costs_no_other_version(shop):
    held, shop.remote = shop.remote, shop.place / "file"
    shop.remote.write_text("")
    shop.pin()
    shop.write("train", 30)
    shop.pin()
    first = list_versions(shop.desk, "mine")[0].version
    md5 = first.tables["train"].md5
    (path,) = [path for path in shop.cached if path.parent.name + path.name == md5]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    path.chmod(0o444)  # by which DVC takes it for whole
    shop.remote = held
    pinned = shop.pin()
    assert (pinned.pushed, pinned.push_error.code) == (1, "version-damaged")
    assert [pushed for _, pushed, _ in listed(shop)] == [False, True]


def test_a_damaged_object_is_made_whole_by_a_pin_of_the_same_table(shop):
    shop.pin()
    for path in shop.cached:
        path.chmod(0o600)
        path.write_bytes(b"damaged")
        path.chmod(0o444)
    shop.write("fresh", 3)
    shop.pin()
    with caching.table_cache(shop.desk.root, "shop-a", shop.desk.remote) as cache:
        version = list_versions(shop.desk, "mine")[-1].version
        assert all(cache.is_whole(table.md5) for table in version.tables.values())


def test_a_table_that_is_written_all_the_time(shop, monkeypatch):
    take, rows = pinning._take, iter(range(100, 200))

    def written_meanwhile(cache, name, path, recipe):
        found = take(cache, name, path, recipe)
        shop.write("train", next(rows))
        return found

    monkeypatch.setattr(pinning, "_take", written_meanwhile)
    refused(shop.pin, "table-moving")
    monkeypatch.undo()
    assert listed(shop) == []
    assert shop.pin().version.number == 1


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("train", None, "table-missing"), ("holdout", "text,label\na\n", "table-damaged")],
)
def test_a_table_that_is_none_is_not_pinned(shop, tmp_path, name, content, code):
    path = shop.place / f"{name}.csv"
    path.unlink() if content is None else path.write_text(content)
    assert str(tmp_path) not in refused(shop.pin, code)
    assert listed(shop) == []
    assert not list((shop.desk.root / ".dvc" / "tmp").glob("pin-*"))


@pytest.mark.parametrize("how", ["amended", "reset", "document", "removed", "key", "foreign"])
def test_a_history_that_was_rewritten_is_refused_and_left_as_it_is(shop, how):
    shop.pin()
    shop.write("train", 30)
    shop.pin()
    root = shop.desk.root

    def git(*words):
        named = ("-c", "user.name=x", "-c", "user.email=x@y", *words)
        subprocess.run(["git", *named], cwd=root, capture_output=True, check=True)

    code = "history-rewritten"
    if how == "amended":
        git("commit", "--amend", "-m", "other")
    elif how == "reset":
        git("reset", "--hard", "HEAD~1")
    elif how == "document":
        path = root / "mine" / "0001.json"
        path.write_text(path.read_text().replace('"rows": 20', '"rows": 21'))
        git("commit", "-am", "more rows")
    elif how == "removed":
        git("rm", "mine/0001.json")
        git("commit", "-m", "gone")
    elif how == "foreign":
        (root / "mine" / "0003.json").write_text("{}")
        git("add", "mine/0003.json")
        git("commit", "-m", "foreign")
    else:
        (root / ".state" / "key").unlink()
        code = "history-damaged"
    head = (root / ".git" / "refs" / "heads" / "main").read_text()
    shop.write("train", 40)
    for call in (shop.pin, lambda: list_versions(shop.desk, "mine")):
        refused(call, code)
    assert (root / ".git" / "refs" / "heads" / "main").read_text() == head


def _pin_elsewhere(shop, start, results):
    start.wait()
    pinned = shop.pin()
    results.put((pinned.version.number, pinned.made))


def test_two_pins_at_once_make_one_version(shop):
    forked = multiprocessing.get_context("fork")
    start, results = forked.Barrier(3), forked.Queue()
    processes = [forked.Process(target=_pin_elsewhere, args=(shop, start, results)) for _ in range(3)]
    for process in processes:
        process.start()
    done = sorted(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert done == [(1, False), (1, False), (1, True)]
    assert listed(shop) == [(1, True, ())]


def test_who_waits_for_another_pin_for_too_long_is_told(shop):
    shop.patience = 0.05
    with shop.desk.locked():
        refused(shop.pin, "versions-busy")


POINTS = [
    ("tasks.party.versions.pinning.file_md5", "before"),  # a copy, not yet kept
    ("tasks.party.versions.pinning._files", "before"),  # kept, no document
    ("pygit2.init_repository", "after"),  # made, not in its place
    ("infra.versioning.history.History.commit", "before"),
    ("infra.versioning.history.History._show", "before"),  # committed, not shown
    ("infra.versioning.history.History.commit", "after"),  # committed, not noted
    ("tasks.party.versions.desk.VersionDesk.note", "after"),  # noted, not pushed
    ("infra.versioning.cache.TableCache.push", "after"),  # one of two tables pushed
]
KILLED = """
import os, signal, sys
from pathlib import Path
from pkgutil import resolve_name
from tests.tasks.party.versions.conftest import Shop

class Again(Shop):
    def __init__(self, place):
        self.place, self.party, self.remote, self.patience = place, "shop-a", place / "remote", 60.0
        from types import SimpleNamespace
        self.recipe = SimpleNamespace(name="mine", data=SimpleNamespace(text="text", label="label"))

place, point, when = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
owner, name = resolve_name(point.rpartition(".")[0]), point.rpartition(".")[2]
real = getattr(owner, name)
def dying(*args, **kwargs):
    if when == "after":
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, dying)
Again(place).pin()
"""


@pytest.mark.parametrize(("point", "when"), POINTS)
def test_a_pin_that_is_killed_is_gone_on_with(shop, point, when, monkeypatch):
    monkeypatch.setattr("infra.versioning.locks._GIT_PATIENCE_S", 0.05)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(shop.place), point, when], capture_output=True, text=True
    )
    assert killed.returncode == -9, killed.stderr
    pinned = shop.pin()
    assert (pinned.version.number, pinned.pushed, pinned.push_error) == (1, 1, None)
    assert listed(shop) == [(1, True, ())]
    assert not list((shop.desk.root / ".dvc" / "tmp").glob("pin-*"))
    assert len(shop.cached) == 2
    assert shop.pin().made is False


def test_a_pin_whose_git_was_killed_inside_its_init_is_gone_on_with(shop):
    (shop.desk.root / ".git").mkdir(parents=True)
    assert listed(shop) == []
    assert shop.pin().version.number == 1
    assert listed(shop) == [(1, True, ())]


def test_a_history_that_is_gone_is_not_begun_anew(shop):
    shop.pin()
    history, away = shop.desk.root / ".git", shop.desk.root.with_name("away")
    history.rename(away)
    for call in (shop.pin, lambda: list_versions(shop.desk, "mine")):
        refused(call, "history-rewritten")
    assert not history.exists(), "whoever brings it back finds its place free"
    away.rename(history)
    assert listed(shop) == [(1, True, ())]


def test_what_somebody_put_where_a_history_belongs_is_not_removed(shop):
    put = shop.desk.root / ".git" / "brought-back"
    put.mkdir(parents=True)
    (put / "HEAD").write_text("ref: refs/heads/main\n")
    refused(shop.pin, "history-damaged")
    assert (put / "HEAD").exists()


def test_a_damaged_list_of_what_was_pushed_is_made_anew(shop):
    shop.pin()
    (shop.desk.state / "pushed.json").write_text("{")
    assert listed(shop) == [(1, False, ())]
    assert shop.pin().pushed == 1


def test_git_files_that_are_damaged_are_one_sentence(shop):
    shop.pin()
    (shop.desk.root / ".git" / "refs" / "heads" / "main").write_text("garbage")
    with pytest.raises(IntegrityError) as caught:
        shop.pin()
    assert caught.value.code == "history-damaged"


@pytest.mark.parametrize("name", ["train.v2_final", "train.2024-11", "train"])
def test_a_parquet_table_of_any_name_is_pinned(shop, name):
    table = shop.place / name
    write_table(LabelledTexts(tuple(map(str, range(20))), ("0", "1") * 10), table)
    version = pin_tables(shop.desk, shop.recipe, Tables(train=table)).version
    assert (version.tables["train"].rows, version.tables["train"].suffix) == (20, "")


def test_a_full_disk_is_no_fault_of_the_remote(shop, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(caching, "write_private", full)
    with pytest.raises(FedcartError) as caught:
        shop.pin()
    assert caught.value.code == "disk-full"
