"""What a role keeps on its own disk goes with its run, and nothing is taken from a process that lives."""

import os
import time

import pytest

from infra.layout import closed_key, plan_key
from infra.versioning.remote import Remote
from tasks.party.versions.desk import VersionDesk
from tasks.round_folder import WithOwnFolder
from tasks.working_files import find_leftovers, leave_closed_run, sweep_leftovers
from tests.store_alone import store_of

HOUR = 3600.0


@pytest.fixture
def store(home):
    return store_of(home, "coordinator")


def worked(workspace, run: str) -> WithOwnFolder:
    """A process that holds a model and files of a round."""
    process = WithOwnFolder(workspace / "runs" / run)
    (process.models / "base.safetensors").write_bytes(b"base")
    (process.round_folder(1) / "trained.safetensors").write_bytes(b"trained")
    return process


def died(workspace, run: str, *, hours_ago: float = 0.0) -> None:
    process = worked(workspace, run)
    then = time.time() - hours_ago * HOUR
    for path in [process.own_folder, *process.own_folder.rglob("*")]:
        os.utime(path, (then, then))
    process.let_go()


def close(store, run: str) -> None:
    store.put_blob(plan_key(run), b"{}")
    store.put_blob(closed_key(run), b"{}")


def runs(workspace) -> list[str]:
    return sorted(path.name for path in (workspace / "runs").iterdir())


def test_nothing_stays_of_a_closed_run_nor_of_those_that_others_left(store, tmp_path):
    for run in ("left-closed", "left-mine"):
        close(store, run)
    store.put_blob(plan_key("left-open"), b"{}")
    mine = worked(tmp_path, "left-mine")
    for run in ("left-mine", "left-closed", "left-open"):
        died(tmp_path, run)
    (tmp_path / "runs" / "left-closed" / "errors.log").write_text("what a party keeps")
    leave_closed_run(store, tmp_path, mine)
    assert runs(tmp_path) == ["left-closed", "left-open"]
    assert [path.name for path in (tmp_path / "runs" / "left-closed").iterdir()] == ["errors.log"]
    assert list((tmp_path / "runs" / "left-open").rglob("base.safetensors")), "a resume may use it"


def test_a_process_that_lives_keeps_its_files_though_its_run_is_closed(store, tmp_path):
    close(store, "woken")
    living = worked(tmp_path, "woken")
    leave_closed_run(store, tmp_path, WithOwnFolder(tmp_path / "runs" / "woken"))
    assert sweep_leftovers(store, "coordinator", tmp_path, HOUR) == []
    assert (living.models / "base.safetensors").exists()


def test_a_store_that_is_away_costs_no_run_that_is_over(home, tmp_path):
    class Away:
        def exists(self, _key):
            raise AssertionError("the own run is known to be closed")

    mine = worked(tmp_path, "mine")
    leave_closed_run(Away(), tmp_path, mine)
    assert runs(tmp_path) == []


def test_the_sweep_takes_what_the_dead_left_and_spares_runs_that_can_go_on(store, tmp_path):
    close(store, "swept-closed")
    store.put_blob(plan_key("swept-open"), b"{}")
    died(tmp_path, "swept-closed")
    died(tmp_path, "swept-open", hours_ago=1000)
    died(tmp_path, "of-another-bucket", hours_ago=5)
    died(tmp_path, "about-to-begin", hours_ago=0.5)
    would = find_leftovers(store, "coordinator", tmp_path, HOUR)
    assert [(each.name, each.why) for each in would] == [
        ("runs/of-another-bucket", "no such run"),
        ("runs/swept-closed", "its run is over"),
    ]
    assert all(each.size == len(b"base") + len(b"trained") for each in would)
    assert [each.name for each in sweep_leftovers(store, "coordinator", tmp_path, HOUR)] == [
        each.name for each in would
    ]
    assert runs(tmp_path) == ["about-to-begin", "swept-open"]
    assert find_leftovers(store, "coordinator", tmp_path, HOUR) == []


def test_tables_that_a_killed_withdrawal_brought_back_go_and_none_that_are_looked_through(store, tmp_path):
    table = tmp_path / "forget-x1y2" / "train.csv"
    table.parent.mkdir()
    table.write_text("text\ntaken back\n")
    with VersionDesk("shop-a", tmp_path, Remote("unused", {})).locked():
        assert sweep_leftovers(store, "shop-a", tmp_path, HOUR) == []
    assert table.exists()
    (would,) = find_leftovers(store, "shop-a", tmp_path, HOUR)
    assert (would.name, would.size, would.why) == ("forget-x1y2", 16, "left by a withdrawal")
    assert table.exists()
    assert [each.name for each in sweep_leftovers(store, "shop-a", tmp_path, HOUR)] == ["forget-x1y2"]
    assert list(tmp_path.glob("forget-*")) == []
    assert sweep_leftovers(store, "shop-a", tmp_path, HOUR) == []


def test_cached_files_go_when_nobody_used_them_for_long(store, tmp_path):
    last_used = {
        "tokens/old.npz": 2,
        "tokens/new.npz": 0.5,
        "logits/old.npz": 2,
        "architectures/a/config.json": 2,
    }
    for name, hours in last_used.items():
        path = tmp_path / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12")
        os.utime(path, (time.time() - hours * HOUR,) * 2)
    os.utime(tmp_path / "cache" / "architectures" / "a", (time.time() - 2 * HOUR,) * 2)
    gone = sweep_leftovers(store, "coordinator", tmp_path, HOUR)
    assert [(each.name, each.size) for each in gone] == [
        ("cache/architectures/a", 2),
        ("cache/tokens/old.npz", 2),
        ("cache/logits/old.npz", 2),
    ]
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["new.npz"]
