"""A look at the store is repeated while it may pass, and only then."""

import pytest

from fedmodels.errors import IntegrityError, StoreUnavailable
from tasks import patience
from tasks.patience import patient


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(patience, "PATIENCE_S", 0.2)


def failing(times, error):
    calls = []

    def look(answer):
        calls.append(answer)
        if len(calls) <= times:
            raise error
        return answer

    return look, calls


def test_what_passes_is_looked_at_again():
    look, calls = failing(3, StoreUnavailable("away"))
    assert patient(look)(None) is None, "an empty answer is an answer"
    assert len(calls) == 4


def test_what_does_not_pass_is_raised_in_the_end():
    look, calls = failing(10_000, StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable, match="away"):
        patient(look)(1)
    assert len(calls) > 2


def test_what_cannot_pass_is_raised_at_once():
    look, calls = failing(1, IntegrityError("broken"))
    with pytest.raises(IntegrityError):
        patient(look)(1)
    assert len(calls) == 1
