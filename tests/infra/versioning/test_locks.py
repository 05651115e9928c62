import json
import os
import subprocess
import sys

import pytest

from fedmodels.errors import StackError
from infra.versioning.locks import clear_stale_locks


@pytest.fixture
def rwlock(tmp_path):
    path = tmp_path / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    return path


def held_by(pid):
    return json.dumps({"write": {"/x/train.csv": {"pid": pid, "cmd": "dvc pull"}}, "read": {}})


def dead_pid():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_lock_of_a_process_that_is_gone_is_cleared(rwlock, tmp_path):
    rwlock.write_text(held_by(dead_pid()))
    clear_stale_locks(tmp_path)
    assert json.loads(rwlock.read_text()) == {}


def test_a_lock_whose_process_id_another_process_has_now_is_cleared(rwlock, tmp_path):
    rwlock.write_text(held_by(os.getpid()))
    os.utime(rwlock, (1.0, 1.0))  # this process began later than the lock was written
    clear_stale_locks(tmp_path)
    assert json.loads(rwlock.read_text()) == {}


@pytest.mark.parametrize("mode", ["write", "read"])
def test_a_lock_of_a_process_that_lives_stays(rwlock, tmp_path, mode):
    info = {"pid": os.getpid(), "cmd": "dvc"}
    held = json.dumps({mode: {"/x": info if mode == "write" else [info]}})
    rwlock.write_text(held)
    with pytest.raises(StackError, match=str(os.getpid())) as caught:
        clear_stale_locks(tmp_path)
    assert caught.value.code == "versions-busy"
    assert rwlock.read_text() == held


def test_a_list_that_was_cut_short_is_cleared(rwlock, tmp_path):
    rwlock.write_text(held_by(1)[:20])
    clear_stale_locks(tmp_path)
    assert not rwlock.exists()


def test_git_locks_that_nobody_takes_away_are_cleared(rwlock, tmp_path, monkeypatch):
    monkeypatch.setattr("infra.versioning.locks._GIT_PATIENCE_S", 0.05)
    left = [tmp_path / ".git" / name for name in ("index.lock", "refs/heads/main.lock")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    clear_stale_locks(tmp_path)
    assert not any(path.exists() for path in left)
