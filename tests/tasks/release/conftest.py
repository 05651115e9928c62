"""Finished runs in a store of their own, with one client for each role."""

import functools
import itertools

import pytest

from tests.store_alone import store_alone, store_of
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture(scope="module", autouse=True)
def clients():
    """Making a client takes a tenth of a second, and a run has four."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tests.tasks.verifying.finished_run.store_of", functools.cache(store_of))
        yield


@pytest.fixture
def opened(home) -> FinishedRun:
    """A run that was opened; a test plays its rounds."""
    number = next(NUMBERS)
    return FinishedRun(home, f"open-{number}", seed=number)
