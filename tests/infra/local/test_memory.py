"""Peak memory: of a whole tree of processes, also when the peak is short or comes at the very end."""

import os
import subprocess
import sys

from infra.local.memory import PeakMemory
from infra.waiting import wait_for

GRANDPARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
"""Holds next to nothing itself."""
PEAK = """
held = bytearray(b'1') * 300_000_000
print('up', flush=True)
input()
del held
print('down', flush=True)
input()
"""


def test_a_short_peak_of_a_descendant_is_met_between_two_regular_samples():
    tree = subprocess.Popen(
        [sys.executable, "-c", GRANDPARENT, PEAK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with PeakMemory(lambda: [tree.pid], look=0.05, interval=3600.0) as memory:
        assert tree.stdout.readline() == "up\n"
        assert wait_for(lambda: memory.peak_mb > 300, timeout=30)
        tree.stdin.write("\n")
        tree.stdin.flush()
        assert tree.stdout.readline() == "down\n"
    assert 300 < memory.peak_mb < 450
    tree.communicate("\n")
    assert tree.returncode == 0


def test_what_comes_after_the_last_look_counts():
    with PeakMemory(lambda: [os.getpid()], look=3600.0) as memory:
        assert wait_for(lambda: memory.peak_mb, timeout=30)
        before = memory.peak_mb
        held = bytearray(b"1") * 200_000_000
    assert memory.peak_mb > before + 190
    assert len(held) == 200_000_000


def test_processes_that_are_gone_count_nothing():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with PeakMemory(lambda: [ended.pid]) as memory:
        pass
    assert memory.peak_mb == 0.0
