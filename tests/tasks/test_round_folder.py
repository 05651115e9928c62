"""Each process of a run has a folder of its own; what the dead left is cleared away, but for their models."""

import gc
import subprocess
import sys

import pytest

from tasks.round_folder import OwnFolder, open_round_folder

HOLD = """
import sys
from pathlib import Path
from tasks.round_folder import OwnFolder, open_round_folder
own = OwnFolder(Path(sys.argv[1]))
(own.models / "base.safetensors").write_bytes(b"base")
(open_round_folder(own.path, 1) / "trained.safetensors").touch()
print(own.path, flush=True)
sys.stdin.read()
"""


def test_only_the_latest_round_keeps_its_files(tmp_path):
    own = OwnFolder(tmp_path)
    (open_round_folder(own.path, 1) / "trained.safetensors").touch()
    (own.models / "base.safetensors").touch()
    assert open_round_folder(own.path, 2) == own.path / "0002"
    assert sorted(path.name for path in own.path.iterdir()) == ["0002", "lock", "models"]
    assert (own.models / "base.safetensors").exists()


def test_a_second_call_in_a_round_keeps_what_is_there(tmp_path):
    (open_round_folder(tmp_path, 7) / "update.safetensors").touch()
    assert [path.name for path in open_round_folder(tmp_path, 7).iterdir()] == ["update.safetensors"]


def test_a_successor_takes_nothing_from_one_that_still_works(tmp_path):
    first, second = OwnFolder(tmp_path), OwnFolder(tmp_path)
    trained = open_round_folder(first.path, 1) / "trained.safetensors"
    trained.touch()
    (first.models / "base.safetensors").touch()
    assert open_round_folder(second.path, 2).exists()
    assert trained.exists()
    assert list(second.models.iterdir()) == []
    assert open_round_folder(first.path, 1) == trained.parent


def test_nothing_is_made_before_it_is_asked_for(tmp_path):
    OwnFolder(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["killed", "ended"])
def test_the_models_of_the_dead_are_inherited_and_the_rest_is_gone(tmp_path, way):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    assert OwnFolder(tmp_path).path.exists()
    process.kill() if way == "killed" else process.stdin.close()
    process.wait(30)
    process.stdout.close()
    gc.collect()  # the first heir of this test lets go of its folder
    heir = OwnFolder(tmp_path)
    assert (heir.models / "base.safetensors").read_bytes() == b"base"
    assert [path.name for path in tmp_path.glob("process-*")] == [heir.path.name]
    assert not (tmp_path / folder).exists()
