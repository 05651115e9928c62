"""Peak memory of everything that a run starts: proportional set size, summed over processes."""

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import psutil


class PeakMemory:
    """Samples the PSS of process trees while it is entered.

    PSS shares a page's size among the processes that map it, so that the sum over processes is what the
    machine really gives. Read from `/proc`; where that is not there, resident size is taken instead.

    Args:
        roots: returns the ids of the processes whose trees count.
        interval: seconds between two samples; each walks the page tables of every process, which takes a
            few tenths of a second of processor time.
    """

    def __init__(self, roots: Callable[[], Iterable[int]], interval: float = 10.0) -> None:
        self._roots = roots
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak_mb = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, total_pss(self._roots()) / 1e6)
            if self._stop.wait(self._interval):
                return


def total_pss(roots: Iterable[int]) -> int:
    """Bytes of PSS of the processes `roots` and all their descendants."""
    seen: dict[int, psutil.Process] = {}
    for pid in roots:
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                seen[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return sum(_pss(process) for process in seen.values())


def _pss(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(memory, "pss", 0) or memory.rss)
