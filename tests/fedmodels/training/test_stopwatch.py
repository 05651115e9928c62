import itertools

import pytest

from fedmodels.training import stopwatch


@pytest.fixture
def clock(monkeypatch):
    """Readings of the clock, in the order in which they are asked for."""
    readings: list[float] = []
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: readings.pop(0))
    return readings


def run(clock, *times):
    clock.extend(itertools.chain(*times))
    watch = stopwatch.Stopwatch()
    for _ in times:
        with watch:
            pass
    return watch.intervals


def test_neighbours_within_five_milliseconds_are_one(clock):
    assert run(clock, (1.0, 2.0), (2.004, 3.0), (3.006, 4.0)) == ((1.0, 3.0), (3.006, 4.0))


def test_nothing_measured_is_no_interval(clock):
    assert run(clock) == ()


def test_a_computation_that_raised_counts(clock):
    clock.extend([1.0, 2.0])
    watch = stopwatch.Stopwatch()
    with pytest.raises(ValueError, match="lost"), watch:
        raise ValueError("lost")
    assert watch.intervals == ((1.0, 2.0),)
