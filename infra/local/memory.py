"""Peak memory of everything that a run starts: proportional set size, sampled, summed over processes."""

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import psutil

GROWTH = 1.02
"""A resident size that is this many times that of the last sample calls for the next one."""


class PeakMemory:
    """Samples the PSS of process trees while it is entered, and once more when it is left.

    PSS shares a page's size among the processes that map it, so that the sum over processes is what the
    machine really gives. Read from `/proc`; where that is not there, resident size is taken instead.

    A sample walks the page tables of every process, which takes some 35 ms of processor time a GB. So it
    is taken seldom, and whenever the resident sizes, which cost next to nothing, have grown since the last
    one: a peak that is shorter than `look` may be missed.

    Args:
        roots: returns the ids of the processes whose trees count.
        look: seconds between two looks at resident sizes.
        interval: most seconds between two samples.
    """

    def __init__(self, roots: Callable[[], Iterable[int]], look: float = 2.0, interval: float = 10.0) -> None:
        self._roots = roots
        self._look = look
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mb = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample(_trees(self._roots()))

    def _watch(self) -> None:
        sampled, resident_then = -self._interval, 0
        while True:
            processes = _trees(self._roots())
            resident, now = sum(map(_resident, processes)), time.monotonic()
            if resident > GROWTH * resident_then or now - sampled >= self._interval:
                self._sample(processes)
                sampled, resident_then = now, resident
            if self._stop.wait(self._look):
                return

    def _sample(self, processes: Iterable[psutil.Process]) -> None:
        self.peak_mb = max(self.peak_mb, sum(map(_pss, processes)) / 1e6)


def _trees(roots: Iterable[int]) -> list[psutil.Process]:
    """The processes `roots` and all their descendants, from one pass over the machine's processes."""
    running = {process.pid: process for process in psutil.process_iter(["ppid"])}
    children: dict[int, list[int]] = {}
    for process in running.values():
        children.setdefault(process.info["ppid"], []).append(process.pid)
    found: dict[int, psutil.Process] = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in running and pid not in found:
            found[pid] = running[pid]
            waiting += children.get(pid, [])
    return list(found.values())


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _pss(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(memory, "pss", 0) or memory.rss)
