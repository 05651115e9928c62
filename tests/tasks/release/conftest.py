"""Finished runs in a store of their own, with one client for each role."""

import functools
import itertools
from dataclasses import replace

import pytest

from infra.keys import load_private_key
from infra.settings import load_role_settings
from tasks.release.recording import Recorder, recorder_from_settings
from tests.store_alone import store_alone, store_of
from tests.tasks.release.folders import small_folders
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


@pytest.fixture
def recipe(opened) -> str:
    return f"tiny-{opened.run}"


@pytest.fixture
def recorder(home, opened, tmp_path, monkeypatch) -> Recorder:
    """The coordinator's, whose repository lies in a folder of the test's; models are folders of two files."""
    small_folders(monkeypatch)
    settings = load_role_settings(home, "coordinator")
    made = recorder_from_settings(settings, opened.store, load_private_key(settings.signing_key))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", settings.s3_access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", settings.s3_secret_access_key.get_secret_value())
    return replace(made, folder=tmp_path / "coordinator")


@pytest.fixture
def runs(home, opened):
    """Runs of one round, each with a model of its own."""
    made = iter(range(1, 100))

    def another() -> FinishedRun:
        number = next(made)
        run = opened if number == 1 else FinishedRun(home, f"{opened.run}-{number}", seed=1000 * number)
        run.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
        run.close()
        return run

    return another
