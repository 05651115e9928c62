"""Updates whose bytes are damaged on their way to the coordinator: read again, and never summed so."""

import itertools
from contextlib import contextmanager

import pytest

from fedmodels.errors import IntegrityError
from tasks.coordinator.aggregating import write_average
from tasks.coordinator.collecting import collect_update

PARTY = "shop-a"
EVERY = 1_000


class Flipping:
    """A stream with the last bit of each piece flipped."""

    def __init__(self, stream):
        self._stream = stream

    def read(self, amount):
        piece = self._stream.read(amount)
        return piece and piece[:-1] + bytes([piece[-1] ^ 1])


@pytest.fixture
def damage(run, monkeypatch):
    """Damages as many of the next streams as it is told."""

    def begin(count):
        numbers, whole = itertools.count(), run.store.open

        @contextmanager
        def opened(key):
            with whole(key) as stream:
                yield Flipping(stream) if next(numbers) < count else stream

        monkeypatch.setattr(run.store, "open", opened)

    return begin


def test_an_update_that_is_damaged_once_counts(played, run, damage):
    announcement = played.announce(1)
    played.submit(PARTY, 1, true_norm=True)
    damage(1)
    found = collect_update.fn(run, announcement, PARTY)
    assert found.refusal is None
    assert found.receipt.update_sha256 == played.updates[PARTY, 1].update_sha256


def test_one_that_stays_damaged_is_refused(played, run, damage):
    announcement = played.announce(1)
    played.submit(PARTY, 1, true_norm=True)
    damage(EVERY)
    assert collect_update.fn(run, announcement, PARTY).refusal is not None


@pytest.fixture
def decided(played, run, tmp_path):
    """A decision, and the average of what it counts."""
    announcement = played.announce(1)
    for party in announcement.cohort:
        played.submit(party, 1)
    decision = played.decide(1, dict.fromkeys(announcement.cohort, 1), {})
    return decision, write_average(run, decision, tmp_path / "whole")


def test_the_average_is_the_same_when_an_update_is_damaged_once(run, decided, damage, tmp_path):
    decision, expected = decided
    damage(1)
    assert write_average(run, decision, tmp_path / "again") == expected


def test_there_is_none_when_it_stays_damaged(run, decided, damage, tmp_path):
    decision, _ = decided
    damage(EVERY)
    with pytest.raises(IntegrityError):
        write_average(run, decision, tmp_path / "never")
    assert not (tmp_path / "never").exists()
