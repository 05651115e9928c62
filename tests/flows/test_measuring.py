"""What a command measures of the run that it follows."""

import time

import pytest

from flows.measuring import StartUp
from tasks.reading import RunView


@pytest.mark.parametrize("seen", [RunView(round=1, cohort=("a", "b")), RunView(closed=object())])
def test_starting_up_ends_with_the_first_round_or_with_a_run_that_was_over_in_a_moment(seen):
    passed_on = []
    start_up = StartUp(passed_on.append, time.perf_counter() - 10.0)
    start_up(RunView())
    assert start_up.seconds == 0.0
    start_up(seen)
    took = start_up.seconds
    assert took >= 10.0
    start_up(RunView(round=2, cohort=("a", "b")))
    assert start_up.seconds == took
    assert len(passed_on) == 3
