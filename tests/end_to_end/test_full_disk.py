"""Full disks during a run, at a party and at the coordinator, and what comes of them.

Only a mount name space of our own can have small file systems, so this test has a stack of its own.
"""

import json
import os
import subprocess
import sys

import pytest
import yaml

from bench.toy_run import GATE_OF_NO_QUALITY
from fedmodels.toy_model import write_toy_model
from infra.local.stack import down
from tests.end_to_end.federation import REPOSITORY, sentences, write_csv

PARTIES = ("shop-a", "shop-b", "shop-c")
SCRIPT = """
set -u
fedcart() {{ {python} -m flows.cli "$@"; }}
mkdir -p home/coordinator/runs home/parties/shop-c/runs
mount -t tmpfs -o size=6m tmpfs home/coordinator/runs
mount -t tmpfs -o size=1m tmpfs home/parties/shop-c/runs
fedcart up --recipe own.yaml --json > up.json && fedcart data prepare --recipe own.yaml || exit 9
fedcart train --recipe own.yaml --run full-1 > /dev/null 2> full.txt
echo $? > full.status
find home/coordinator/runs home/parties/shop-c/runs -type f > left.txt
mount -o remount,size=64m home/coordinator/runs
fedcart train --resume full-1 --json > resumed.json 2> resumed.txt
echo $? > resumed.status
find home/coordinator/runs home/parties/shop-c/runs -type f > closed.txt
"""


@pytest.fixture(scope="module")
def disks(tmp_path_factory):
    """A run of three parties whose coordinator has room for one model, and one party for none."""
    folder = tmp_path_factory.mktemp("disks").resolve()
    small = folder / "small"
    small.mkdir()
    try_mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", small]
    if subprocess.run(try_mount, capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount a small file system")
    write_toy_model(folder / "model", vocabulary=60_000)
    tables = {
        party: {"train": str(write_csv(folder / f"{party}.csv", sentences(party, 60)))} for party in PARTIES
    }
    own = write_csv(folder / "own.csv", sentences("coordinator", 90))
    recipe = {
        "name": "own",
        "num_rounds": 1,
        "model": {"source": str(folder / "model"), "max_length": 32},
        "data": {"parties": tables, "coordinator": {"table": str(own)}},
        "local": {"learning_rate": 0.01},
        "gate": GATE_OF_NO_QUALITY,
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(recipe))
    environment = {**os.environ, "FEDCART_HOME": str(folder / "home"), "PYTHONPATH": str(REPOSITORY)}
    try:
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", SCRIPT.format(python=sys.executable)],
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment | {"COLUMNS": "200"},
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        yield folder
    finally:
        down(folder / "home")


def test_the_coordinators_full_disk_is_one_sentence(disks):
    said = (disks / "full.txt").read_text()
    assert (disks / "full.status").read_text().strip() == "1"
    assert "error The disk is full" in said
    assert "(disk-full)" in said
    assert "Traceback" not in said


def test_the_run_goes_on_once_there_is_room(disks):
    assert (disks / "resumed.status").read_text().strip() == "0", (disks / "resumed.txt").read_text()
    document = json.loads((disks / "resumed.json").read_text())
    (row,) = document["rounds"]
    assert document["status"] == "finished"
    assert row["accepted"] == ["shop-a", "shop-b"]


def test_a_partys_full_disk_keeps_it_out_with_a_code(disks):
    (row,) = json.loads((disks / "resumed.json").read_text())["rounds"]
    assert row["refused"] == [{"party": "shop-c", "code": "disk-full"}]


def test_nothing_half_written_is_left(disks):
    left = (disks / "left.txt").read_text()
    assert "safetensors" in left, "what the resume goes on from"
    assert ".part" not in left
    closed = (disks / "closed.txt").read_text()
    assert "home/coordinator" not in closed and "safetensors" not in closed, "of a run that is over"
