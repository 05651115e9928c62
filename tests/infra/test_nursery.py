"""Flow runs that are forked: born with the call's environment and streams, and ended with its caller."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from infra.deployments.start_run import NURSERY, at_folder, socket_file
from infra.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
KEEP = """
import os, sys
from pathlib import Path
from infra.deployments.nursery import Nursery

birth = Nursery(Path(sys.argv[1]), 0).serve()
if birth is not None:
    for number, stream in enumerate(birth.streams):
        os.dup2(stream, number)
    os.chdir(birth.folder)
    os.environ.clear()
    os.environ.update(birth.environment)
    exec(os.environ["CODE"])
"""
"""A nursery whose worker is this test, by its standard input, and whose children run the caller's code."""
TELL = """
import json, os, sys
print(json.dumps({"folder": os.getcwd(), "environment": dict(os.environ), "said": sys.stdin.readline()}))
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / ("a-folder-whose-path-is-too-long-for-a-socket" * 4)
    process = subprocess.Popen(
        [sys.executable, "-c", KEEP, str(folder)],
        stdin=subprocess.PIPE,
        env={**os.environ, "FOLDER": ""},
        cwd=ROOT,
    )
    process.folder = folder  # type: ignore[attr-defined]
    assert wait_for(lambda: socket_file(folder).exists(), timeout=20)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def start(nursery, tmp_path) -> Iterator[Start]:
    callers = []

    def call(code: str, **environment: str) -> subprocess.Popen[str]:
        caller = subprocess.Popen(
            [sys.executable, "-P", "-m", "infra.deployments.start_run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                NURSERY: str(nursery.folder),
                "CODE": code,
                **environment,
            },
        )
        callers.append(caller)
        return caller

    yield call
    for caller in callers:
        caller.kill()
        caller.wait()
        for stream in (caller.stdin, caller.stdout, caller.stderr):
            stream.close()


def child_of(nursery) -> psutil.Process:
    found = wait_for(lambda: psutil.Process(nursery.pid).children(), timeout=20)
    assert found
    return found[0]


def test_a_child_has_the_callers_environment_folder_and_streams(start, tmp_path):
    caller = start(TELL, PARTY="shop-ä")
    said, _ = caller.communicate("hello\n", timeout=20)
    told = json.loads(said)
    assert caller.returncode == 0
    assert told["folder"] == str(tmp_path)
    assert told["environment"]["PARTY"] == "shop-ä"
    assert NURSERY not in told["environment"]
    assert told["said"] == "hello\n"


def test_the_caller_ends_as_its_child_does(start):
    failing = start("import sys; sys.exit(7)")
    killed = start("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert failing.wait(20) == 7
    assert killed.wait(20) == -signal.SIGKILL


def test_a_signal_to_the_caller_reaches_the_child(start):
    caller = start(
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); "
        "print('up', flush=True); signal.pause()"
    )
    caller.stdout.readline()
    caller.terminate()
    assert caller.wait(20) == 3


def test_a_child_dies_with_its_caller(start, nursery):
    caller = start("import signal; print('up', flush=True); signal.pause()")
    caller.stdout.readline()
    child = child_of(nursery)
    caller.kill()
    assert wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, timeout=20)


def test_many_children_live_side_by_side_and_one_more_is_born_after_a_call_broke_off(start, nursery):
    waiting = [start("import sys; sys.stdin.read()") for _ in range(5)]
    assert wait_for(lambda: len(psutil.Process(nursery.pid).children()) == 5, timeout=20)
    broken = start("raise SystemExit(0)")
    broken.kill()
    assert start("import sys; sys.exit(4)").wait(20) == 4
    for caller in waiting:
        caller.stdin.close()
    assert [caller.wait(20) for caller in waiting] == [0] * 5


@pytest.mark.parametrize("said", [b"", b"\0\0", b"\0\0\0\5"], ids=["nothing", "half a header", "a header"])
def test_a_call_that_breaks_off_harms_nobody(start, nursery, said):
    with socket.socket(socket.AF_UNIX) as calling, at_folder(nursery.folder) as name:
        calling.connect(name)
        calling.sendall(said)
    assert start("import sys; sys.exit(4)").wait(20) == 4
    assert nursery.poll() is None


def test_a_child_dies_with_its_nursery(start, nursery):
    caller = start("import signal; print('up', flush=True); signal.pause()")
    caller.stdout.readline()
    child = child_of(nursery)
    nursery.kill()
    assert caller.wait(20) == 1
    assert wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, timeout=20)


def test_a_nursery_ends_when_its_worker_is_gone_but_not_before_its_last_child(start, nursery):
    caller = start("import sys; sys.stdin.read(); sys.exit(5)")
    child_of(nursery)
    nursery.stdin.close()
    refused = start("print('forked')", PREFECT__FLOW_RUN_ID="no id")
    said, _ = refused.communicate(timeout=60)
    caller.stdin.close()
    assert caller.wait(20) == 5
    assert nursery.wait(20) == 0
    assert "forked" not in said


def test_without_a_nursery_the_command_becomes_the_engine(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "infra.deployments.start_run"],
        env={**os.environ, "PYTHONPATH": str(ROOT), NURSERY: str(tmp_path), "PREFECT__FLOW_RUN_ID": "no id"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Invalid flow run id" in done.stderr + done.stdout
