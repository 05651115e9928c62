"""A process that was hit must be where it says, and the store must show what it says."""

import os
import subprocess
import sys
import time

import pytest

from fedmodels.protocol.canonical import sha256_hex
from infra.local.processes import MARKER
from infra.locations import stack_folder
from tests.faults.proof import is_proved


class Shown:
    """A store that holds one object."""

    def __init__(self, content):
        self.content = content

    def holds(self, key, sha256):
        return self.content is not None and sha256_hex(self.content) == sha256

    def exists(self, key):
        return self.content is not None


@pytest.mark.parametrize(
    ("effect", "when", "content", "proved"),
    [
        ("swap HEAD", "after", b"new", True),
        ("swap HEAD", "after", b"old", False),
        ("swap HEAD", "before", b"old", True),
        ("swap HEAD", "before", b"new", False),
        ("create record", "before", None, True),
        ("create record", "before", b"old", False),
        ("create record", "after", None, False),
        ("delete record", "after", b"new", False),
        ("", "after", None, True),
    ],
)
def test_a_write_is_proved_by_its_content(tmp_path, effect, when, content, proved):
    marked = {MARKER: f"worker-coordinator@{stack_folder(tmp_path)}"}
    command = [sys.executable, "-c", "print(flush=True); input()"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=marked)
    child.stdout.readline()  # before it runs, Linux may show a process without its environment
    marker = {"effect": effect, "when": when, "pid": child.pid, "role": "coordinator", "clock": time.time()}
    marker |= {"key": "a/record.json", "sha256": sha256_hex(b"new"), "follows": None, "step": "close_round"}

    def told(**other):
        return is_proved(marker | other, Shown(content), tmp_path)

    try:
        assert told() is proved
        if when == "before":
            assert told(step="publish"), "what is put again stands already"
        assert not told(pid=os.getpid()), "a process that is none of the stack's"
        assert not told(clock=time.time() + 3600)
    finally:
        child.communicate(b"\n")
    assert not told(), "the process is gone"
