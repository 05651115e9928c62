"""A store for the tests of this folder, one recipe for each test."""

import functools
import itertools

import pytest

from tests.store_alone import store_alone, store_of
from tests.tasks.drift.champion import PARTIES, Champion

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture(scope="module", autouse=True)
def clients():
    """Making a client takes a tenth of a second."""
    one = functools.cache(lambda home, role: store_of(home, role))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tests.tasks.drift.champion.store_of", one)
        patched.setattr(
            "tasks.drift.desk.store_from_settings", lambda settings: one(settings.home, settings.role)
        )
        yield


@pytest.fixture
def champion(home, tmp_path):
    """Makes the champion's recipe, with changes to its section `drift`."""
    return lambda **drift: Champion(home, f"recipe-{next(NUMBERS)}", tmp_path, **drift)
