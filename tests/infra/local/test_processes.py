"""Processes: only the very one that was recorded is stopped, with all that it started."""

import os
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from infra.local import processes
from infra.local.processes import Record
from infra.private_files import write_json
from infra.waiting import wait_for

LINUX = sys.platform == "linux"
SLEEP = "import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); time.sleep(60)"


def start(folder: Path, name: str, code: str) -> Record:
    return processes.start(
        folder,
        name,
        [sys.executable, "-c", code],
        role="all",
        what="test",
        log=folder / f"{name}.log",
        environment=dict(os.environ),
    )


def test_a_process_is_recorded_detached_and_stopped(tmp_path: Path):
    record = start(tmp_path, "one", SLEEP)
    assert processes.read_records(tmp_path) == {"one": record}
    process = record.process
    assert process is not None
    assert os.getsid(record.pid) == record.pid
    processes.stop([process], grace=5.0)
    assert record.process is None


def test_the_exit_status_of_a_child_is_known(tmp_path: Path):
    record = start(tmp_path, "three", "raise SystemExit(3)")
    assert wait_for(lambda: record.process is None, timeout=10)
    assert processes.exit_status(record) == 3
    assert processes.exit_status(replace(record, pid=os.getpid())) is None


def test_a_record_of_another_process_with_the_same_id_is_stale(tmp_path: Path):
    mine = psutil.Process()
    record = Record("x", "all", "test", mine.pid, mine.create_time(), None, "x.log")
    assert record.process == mine
    assert replace(record, created=record.created - 60).process is None


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path):
    record = start(tmp_path, "deaf", STUBBORN)
    assert wait_for(lambda: processes.last_lines(tmp_path / "deaf.log"), timeout=10)
    begin = time.monotonic()
    processes.stop(processes.marked(tmp_path), grace=0.5)
    assert 0.4 < time.monotonic() - begin < 5.0
    assert record.process is None


def test_the_marker_finds_children_whose_parent_was_killed_and_what_is_not_recorded(tmp_path: Path):
    record = start(tmp_path, "parent", PARENT)
    assert wait_for(lambda: len(processes.marked(tmp_path)) == 2, timeout=10)
    os.kill(record.pid, signal.SIGKILL)
    processes.forget(tmp_path, ["parent"])
    assert wait_for(lambda: len(processes.marked(tmp_path)) == 1, timeout=10)
    assert processes.marked(tmp_path, "other") == []
    processes.stop(processes.marked(tmp_path, "parent"), grace=2.0)
    assert processes.marked(tmp_path) == []


def test_another_stack_is_left_alone(tmp_path: Path):
    mine, other = tmp_path / "a", tmp_path / "ab"
    record = start(other, "one", SLEEP)
    assert processes.marked(mine) == []
    assert [process.pid for process in processes.marked(other)] == [record.pid]
    processes.stop(processes.marked(other), grace=2.0)


def test_a_garbled_record_is_no_record(tmp_path: Path):
    folder = tmp_path / "processes"
    folder.mkdir()
    (folder / "one.json").write_text("{")
    (folder / "two.json").write_text('{"pid": 1}')
    assert processes.read_records(tmp_path) == {}


def test_last_lines_skip_blank_ones(tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_text("one\n\n  \ntwo\nthree\n")
    assert processes.last_lines(log, 2) == ["two", "three"]
    assert processes.last_lines(tmp_path / "none.log") == []


def test_a_long_log_is_put_aside(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(processes, "_LOG_LIMIT_BYTES", 10)
    log = tmp_path / "x.log"
    log.write_text("x" * 11)
    with processes.open_log(log) as file:
        file.write(b"new")
    assert log.read_text() == "new"
    assert (tmp_path / "x.log.1").read_text() == "x" * 11


@pytest.fixture
def clock_set(monkeypatch):
    """The machine's clock is set a minute on, and with it the moment at which psutil says it was started."""
    create_time = psutil.Process.create_time
    return lambda: monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + 60.0)


@pytest.mark.skipif(not LINUX, reason="no other system tells a birth that no clock touches")
def test_a_process_stays_itself_when_the_clock_is_set(tmp_path: Path, clock_set):
    record = start(tmp_path, "one", SLEEP)
    clock_set()
    process = processes.read_records(tmp_path)["one"].process
    assert process is not None
    processes.stop([process], grace=5.0)
    assert record.process is None


@pytest.mark.skipif(not LINUX, reason="no other system tells a birth that no clock touches")
def test_an_id_that_was_given_away_again_is_not_mistaken_though_the_clock_says_so(tmp_path: Path):
    mine = psutil.Process()
    record = processes.write_record(tmp_path, "x", mine.pid, role="all", what="test", log=tmp_path / "log")
    assert record.process == mine
    boot, ticks = record.born.split()
    assert replace(record, born=f"{boot} {int(ticks) - 1}").process is None
    assert replace(record, born=f"another-start {ticks}").process is None


def test_a_record_from_before_births_were_written_goes_by_the_clock(tmp_path: Path, clock_set):
    mine = psutil.Process()
    written = asdict(Record("x", "all", "test", mine.pid, mine.create_time(), None, "x.log"))
    del written["born"]
    write_json(tmp_path / "processes" / "x.json", written)
    assert processes.read_records(tmp_path)["x"].process == mine
    clock_set()
    assert processes.read_records(tmp_path)["x"].process is None


def test_a_name_of_a_process_may_hold_anything(tmp_path: Path):
    odd = tmp_path / "a) R 1 2 3 (b"
    odd.symlink_to("/bin/sleep")
    record = processes.start(
        tmp_path, "odd", [str(odd), "60"], role="all", what="t", log=tmp_path / "log", environment={}
    )
    assert record.process is not None
    assert record.born == processes.birth(record.pid)
    processes.stop([record.process], grace=5.0)
    assert processes.birth(record.pid) == ""
