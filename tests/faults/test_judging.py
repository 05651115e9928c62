"""When a run has survived its fault."""

from types import SimpleNamespace

import pytest

from tests.faults.cases import Case
from tests.faults.judging import why_not_survived
from tests.faults.points import Point
from tests.faults.scenes import CANCELLED


class Ran:
    """A run that is over, as far as it is asked how it ended."""

    def __init__(self, status, *, head_stayed=True, victims_ended=True):
        self.operator = self
        self.closed = SimpleNamespace(status=status, reason="so")
        self.head_stayed = lambda: head_stayed
        self.victims_ended = lambda: victims_ended


@pytest.mark.parametrize(
    ("scene", "ran", "why"),
    [
        (None, Ran("finished", head_stayed=False), ""),
        (None, Ran("cancelled"), "ended as cancelled: so"),
        (None, Ran("finished", victims_ended=False), "a process that was hit lives on"),
        (CANCELLED, Ran("cancelled"), ""),
        (CANCELLED, Ran("finished"), "ended as finished: so"),
        (CANCELLED, Ran("cancelled", head_stayed=False), "HEAD moved after the cancel"),
    ],
)
def test_a_run_survives_that_ends_as_its_scene_does(scene, ran, why):
    assert why_not_survived(Case(Point("coordinator", "c"), "kill", "after", scene), ran) == why
