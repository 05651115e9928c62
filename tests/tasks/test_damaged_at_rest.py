"""A byte of a message that flips where it lies: a resume names the object, and does not say "try again".

The hash that was put with it stays, as it does when a disk rots. A byte that flips on the way only is read
again, and nobody hears of it.
"""

import itertools

import pytest

from fedmodels.errors import IntegrityError, StoreBusy
from infra.layout import (
    closed_key,
    head_key,
    model_key,
    plan_key,
    receipt_key,
    round_key,
    run_at,
    runs_prefix,
)
from infra.object_store import DAMAGED_READS, ObjectStore
from infra.settings import load_role_settings
from tasks.coordinator.opening import resume_run
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import read_bytes_from_party
from tasks.reading import DAMAGED, list_row, planned_run
from tests.tasks.rotting import flipped, rot
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun
from validation.admission import RECEIPT_LIMIT

NUMBERS = itertools.count(1)


@pytest.fixture
def played(home):
    """A run with one closed round and another one announced."""
    made = FinishedRun(home, f"rotten-{next(NUMBERS)}")
    made.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
    made.announce(2)
    return made


@pytest.fixture
def flipping(monkeypatch):
    """Flip a bit of what arrives in so many of the next answers, in each at another place."""

    def begin(count):
        positions, numbers, fetch = itertools.count(10), itertools.count(), ObjectStore._fetch

        def fetched(self, key, limit):
            found = fetch(self, key, limit)
            if found is None or next(numbers) >= count:
                return found
            return flipped(found[0], next(positions)), *found[1:]

        monkeypatch.setattr(ObjectStore, "_fetch", fetched)
        return numbers

    return begin


def resume(played):
    return resume_run.fn(CoordinatorRun(played.run, load_role_settings(played.home, "coordinator")))


KEYS = {
    "plan": plan_key,
    "HEAD": head_key,
    "record": lambda run: round_key(run, 1, "record"),
    "announcement": lambda run: round_key(run, 2, "announcement"),
    "closed": closed_key,
}


@pytest.mark.parametrize("name", KEYS)
def test_a_resume_says_what_is_damaged_and_that_verify_tells_more(played, name):
    if name == "closed":
        played.close()
    key = KEYS[name](played.run)
    rot(played.store, key)
    with pytest.raises(IntegrityError, match=f"{key} is damaged in the store") as caught:
        resume(played)
    assert caught.value.code == "object-damaged"
    assert f"fedcart runs verify {played.run}, restore it from a backup, and resume" in str(caught.value)
    assert "try again" not in str(caught.value)
    assert caught.value.exit_status == 1


def test_the_store_itself_knows_nothing_of_runs(played):
    """It has bytes and keys; who reads a message knows that the key is one of a run's."""
    rot(played.store, head_key(played.run))
    with pytest.raises(IntegrityError) as caught:
        played.store.read(head_key(played.run))
    assert str(caught.value).endswith("not those that were put; restore it from a backup.")


@pytest.mark.parametrize(
    ("key", "run"),
    [
        (head_key("r-1"), "r-1"),
        (round_key("r-1", 2, "record"), "r-1"),
        (receipt_key("shop-a", "r-1", 2), None),
        (model_key("0" * 64), None),
        (runs_prefix() + "r-1", None),
    ],
)
def test_whose_message_lies_at_a_key_the_layout_says(key, run):
    assert run_at(key) == run


def test_a_byte_that_flips_on_the_way_passes_unnoticed(played, flipping):
    numbers = flipping(DAMAGED_READS - 1)
    assert resume(played) == 1
    assert next(numbers) > DAMAGED_READS


def test_a_line_that_damages_all_that_passes_may_do_better_later(played, flipping):
    flipping(1000)
    with pytest.raises(StoreBusy, match="did not arrive as it was put") as caught:
        resume(played)
    assert caught.value.code == "store-damaged"


def test_a_list_of_runs_shows_it_and_goes_on(played):
    rot(played.store, head_key(played.run))
    assert list_row(played.store, played.run)["status"] == DAMAGED
    rot(played.store, plan_key(played.run))
    assert planned_run(played.store, played.run) is None


def test_what_a_party_left_damaged_ends_nothing(played):
    key = receipt_key("shop-a", played.run, 1)
    whole = played.store.read(key)
    rot(played.stores["shop-a"], key)
    found = read_bytes_from_party(played.store, key, RECEIPT_LIMIT)
    assert found == flipped(whole, len(whole) // 2)
