"""Waiting ends with the condition or with the deadline, never later by much, never without a look."""

import time

from infra.waiting import wait_for


def test_a_condition_that_holds_is_returned_at_once():
    assert wait_for(lambda: "here", timeout=0.0) == "here"


def test_it_looks_until_the_condition_holds():
    looks = iter([None, None, 3])
    assert wait_for(lambda: next(looks), timeout=5.0, first_wait=0.001) == 3


def test_the_deadline_ends_it():
    begin = time.monotonic()
    assert wait_for(lambda: None, timeout=0.2, first_wait=0.01) is None
    assert 0.2 <= time.monotonic() - begin < 2.0
