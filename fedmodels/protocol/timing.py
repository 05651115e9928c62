"""How much of a round somebody spent computing: the union of intervals, and what is left over."""

from collections.abc import Iterable

from fedmodels.protocol.messages import RoundSeconds

Interval = tuple[float, float]


def covered(intervals: Iterable[Interval], begin: float, end: float) -> float:
    """Length of the union of `intervals` inside `[begin, end]`, in seconds.

    >>> covered([(0, 2), (1, 3), (5, 9)], 0, 6)
    4.0
    """
    total, reached = 0.0, begin
    for start, stop in sorted(intervals):
        start, stop = max(start, reached), min(stop, end)
        if stop > start:
            total += stop - start
            reached = stop
    return float(total)


def round_seconds(intervals: Iterable[Interval], begin: float, end: float) -> RoundSeconds:
    """A round's wall time, split into time in which anybody computed and overhead."""
    train = covered(intervals, begin, end)
    return RoundSeconds(
        total=round(end - begin, 3), train=round(train, 3), overhead=round(max(0.0, end - begin - train), 3)
    )
