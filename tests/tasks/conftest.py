"""What tests of several kinds of tasks share."""

from datetime import timedelta

import pytest

from infra import store_answers


@pytest.fixture
def later(monkeypatch):
    """Let the store's clock be so many seconds further."""
    clock = store_answers.clock

    def move(seconds):
        monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(seconds=seconds))

    return move
