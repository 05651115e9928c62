"""The rule of what is tried again, in hand-sized numbers."""

from functools import reduce

import pytest

from fedmodels.errors import PrefectAway, StoreBusy, StoreRefused, StoreUnavailable
from infra.retry_rule import busy_after, is_worth_another_try, most_retries, wait_after, waited

AWAY, BUSY = StoreUnavailable("It does not answer"), StoreBusy("It is busy")


@pytest.mark.parametrize(
    ("error", "busy", "seconds", "again"),
    [
        (None, 1, 0.0, False),
        (StoreRefused("The door is closed"), 1, 0.0, False),
        (BUSY, 5, 1e6, True),
        (BUSY, 6, 0.0, False),
        (PrefectAway("It does not answer"), 6, 0.0, False),
        (AWAY, 0, 599.9, True),
        (AWAY, 0, 600.0, False),
    ],
)
def test_what_is_away_is_outlasted_and_what_is_busy_tried_six_times(error, busy, seconds, again):
    assert is_worth_another_try(error, busy, seconds) is again


@pytest.mark.parametrize(
    ("ended", "busy"),
    [
        ([BUSY], 1),
        ([BUSY] * 5, 5),
        ([AWAY] * 20, 0),
        ([AWAY] * 20 + [BUSY], 1),
        ([BUSY] * 5 + [AWAY], 0),
        ([BUSY] * 5 + [AWAY] + [PrefectAway("It does not answer"), BUSY], 2),
    ],
)
def test_only_busy_answers_in_a_row_are_counted(ended, busy):
    assert reduce(busy_after, ended, 0) == busy


def test_waits_double_up_to_sixteen_seconds():
    assert [wait_after(tries) for tries in range(1, 8)] == [1, 2, 4, 8, 16, 16, 16]
    assert [waited(tries) for tries in (1, 2, 6)] == [0, 1, 31]


def test_the_retries_are_the_first_that_outlast_ten_minutes():
    assert waited(most_retries()) < 600.0 <= waited(most_retries() + 1)
