"""A look that nobody waits for: one at a time, its last answer read at once."""

from contextvars import ContextVar
from threading import Event

import pytest

from fedmodels.errors import StoreRefused, StoreUnavailable
from infra.lookout import Lookout
from infra.waiting import wait_for

LONG = 60.0


def test_who_asks_is_not_held_up_by_a_look_and_there_is_one_at_a_time():
    begun, answer, looks = Event(), Event(), []

    def look():
        looks.append(1)
        begun.set()
        answer.wait(LONG)
        return "closed"

    lookout = Lookout(every=0.0)
    assert [lookout.ask(look) for _ in range(1000)] == [None] * 1000
    assert begun.wait(LONG)
    assert len(looks) == 1
    answer.set()
    assert wait_for(lambda: lookout.ask(look), timeout=LONG) == "closed"
    assert len(looks) == 1, "what was found once is not looked for again"


def test_who_has_time_waits_for_a_look_that_is_due():
    assert Lookout(every=0.0).ask(lambda: "closed", patience=LONG) == "closed"
    assert Lookout(every=LONG).ask(lambda: "closed", patience=LONG) is None, "none is due"


def test_a_silent_store_says_nothing_and_a_refusal_is_told_until_the_next_look():
    def refuse():
        raise StoreRefused("no")

    def be_away():
        raise StoreUnavailable("gone")

    lookout = Lookout(every=0.0)
    assert lookout.ask(be_away, patience=LONG) is None
    for _ in range(2):
        with pytest.raises(StoreRefused):
            lookout.ask(refuse, patience=LONG)
    assert lookout.ask(be_away, patience=LONG) is None


def test_the_thread_has_the_context_of_who_asks():
    step = ContextVar("step", default="")
    step.set("train_local")
    assert Lookout(every=0.0).ask(step.get, patience=LONG) == "train_local"
