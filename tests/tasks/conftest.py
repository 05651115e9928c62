"""What tests of several kinds of tasks share."""

from datetime import timedelta

import pytest

from infra import store_answers
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES


@pytest.fixture
def later(monkeypatch):
    """Let the store's clock be so many seconds further."""
    clock = store_answers.clock

    def move(seconds):
        monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(seconds=seconds))

    return move


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The store of a stack alone, with the parties of `FinishedRun`."""
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder
