"""A round's time is split by hand-sized intervals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmodels.protocol.timing import covered, round_seconds

numbers = st.floats(0, 100, allow_nan=False)
intervals = st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=8)


def test_overlapping_intervals_count_once():
    assert covered([(0, 2), (1, 3), (5, 9)], 0, 6) == 4.0


def test_what_lies_outside_the_round_does_not_count():
    assert covered([(-5, 1), (9, 20)], 0, 10) == 2.0


def test_overhead_is_the_rest():
    seconds = round_seconds([(1.0, 3.0), (2.0, 4.0)], 0.0, 5.0)
    assert (seconds.total, seconds.train, seconds.overhead) == (5.0, 3.0, 2.0)


@given(intervals)
def test_order_does_not_matter_and_the_union_fits_the_window(found):
    total = covered(found, 10, 90)
    assert total == pytest.approx(covered(list(reversed(found)), 10, 90))
    assert 0 <= total <= 80 + 1e-9


@given(intervals, intervals)
def test_more_intervals_never_cover_less(some, more):
    assert covered(some + more, 0, 100) >= covered(some, 0, 100) - 1e-9
