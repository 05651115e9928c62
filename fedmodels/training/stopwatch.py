"""When a process was inside a model: what a round's overhead is measured against."""

import time
from types import TracebackType

MERGE_GAP = 0.005
"""Seconds: two intervals that are closer count as one."""


class Stopwatch:
    """A context that is entered around each computation; `intervals` are (begin, end) of `perf_counter`."""

    def __init__(self) -> None:
        self._intervals: list[tuple[float, float]] = []
        self._begin = 0.0

    def __enter__(self) -> "Stopwatch":
        self._begin = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end = time.perf_counter()
        if self._intervals and self._begin - self._intervals[-1][1] < MERGE_GAP:
            self._intervals[-1] = (self._intervals[-1][0], end)
        else:
            self._intervals.append((self._begin, end))

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """In order, without overlap, neighbours closer than `MERGE_GAP` merged."""
        return tuple(self._intervals)
