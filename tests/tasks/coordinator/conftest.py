"""A run of a few messages in the real store, and its coordinator."""

import itertools

import pytest

from fedmodels.protocol.state import RunState
from infra.layout import head_key
from infra.settings import load_role_settings
from tasks.coordinator.run import CoordinatorRun
from tests.tasks.verifying.finished_run import FinishedRun

NUMBERS = itertools.count(1)


@pytest.fixture
def played(home) -> FinishedRun:
    """A run that was opened; a test plays its coordinator and parties."""
    return FinishedRun(home, f"open-{next(NUMBERS)}")


@pytest.fixture
def run(home, played) -> CoordinatorRun:
    """The coordinator of the same run, as it stands after it was opened."""
    made = CoordinatorRun(played.run, load_role_settings(home, "coordinator"))
    _, version = made.store.read_version(head_key(played.run)) or (b"", "")
    made.hold(RunState(plan=played.plan, head=played.head), version)
    return made
