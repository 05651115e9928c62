"""The simulation's model of the store against the real one: the same operations, the same answers.

What is compared is what the protocol relies on: who wins a creation or a swap, what is read and listed
afterwards, and how old an object is. Versions are compared by whether they still hold.
"""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest

from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from tests.simulation.store_model import CREATE, Lost, StoreModel

PREFIX = "coordinator/tests/model/"
OPERATIONS = 300
RACERS = 6


@pytest.fixture
def store(store_running) -> ObjectStore:
    return store_from_settings(load_role_settings(store_running.home, "coordinator"))


class Pair:
    """The model and the real store, side by side. Versions are remembered in pairs."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self.store, self.prefix, self.model = store, prefix, StoreModel()
        self.versions: dict[str, list[tuple[int, str]]] = {}

    def read(self, name: str) -> None:
        key = self.prefix + name
        mine, real = self.model.get(key), self.store.read_version(key)
        assert (mine is None) == (real is None), name
        if mine is not None and real is not None:
            assert mine.value == real[0]
            known = dict(self.versions.get(name, []))
            assert known.setdefault(mine.version, real[1]) == real[1], "equal content, another version"
            self.versions[name] = list(known.items())

    def create(self, name: str, value: bytes) -> None:
        key = self.prefix + name
        assert self.store.create(key, value) == self._mine(
            lambda: self.model.put(key, value, CREATE, 0.0), key
        )

    def swap(self, name: str, value: bytes, versions: tuple[int, str]) -> None:
        key = self.prefix + name
        standing = self._mine(lambda: self.model.put(key, value, versions[0], 0.0), key)
        assert self.store.swap(key, value, versions[1]) == (standing == value)

    def delete(self, name: str) -> None:
        self.model.delete(self.prefix + name)
        self.store.client.delete_object(Bucket=self.store.bucket, Key=self.prefix + name)

    def listed(self) -> None:
        assert list(self.store.list_keys(self.prefix)) == self.model.keys(self.prefix)

    def _mine(self, put: Callable[[], int], key: str) -> bytes | None:
        """What stands in the model after a put, whether it won or not."""
        with suppress(Lost):
            put()
        standing = self.model.get(key)
        return None if standing is None else standing.value


@pytest.mark.parametrize("seed", range(3))
def test_the_same_sequence_gets_the_same_answers(store, seed):
    draw, pair = random.Random(seed), Pair(store, f"{PREFIX}{seed}/")
    for number in range(OPERATIONS):
        name = draw.choice(("a", "b", "c/d"))
        value = draw.choice((b"one", b"two", str(number).encode()))
        match draw.choice(("create", "create", "swap", "swap", "swap", "read", "read", "delete", "list")):
            case "create":
                pair.create(name, value)
            case "swap":
                pair.read(name)
                if known := pair.versions.get(name):
                    pair.swap(name, value, draw.choice(known))
            case "read":
                pair.read(name)
            case "delete":
                pair.delete(name)
            case "list":
                pair.listed()


def race(attempt: Callable[[bytes], Any]) -> list[Any]:
    """Answers of racers that start together, in their order."""
    start = Barrier(RACERS)

    def run(number: int) -> Any:
        start.wait()
        return attempt(b"racer %d" % number)

    with ThreadPoolExecutor(RACERS) as racers:
        return list(racers.map(run, range(RACERS)))


@pytest.mark.parametrize("turn", range(5))
def test_a_race_of_creates_ends_as_in_the_model(store, turn):
    """In the model one wins and all others learn what stands; the real one must choose likewise."""
    key = f"{PREFIX}race-of-creates/{turn}"
    seen = race(lambda value: store.create(key, value))
    model = StoreModel()
    model.put(key, seen[0], CREATE, 0.0)
    with pytest.raises(Lost):
        model.put(key, b"another", CREATE, 0.0)
    assert set(seen) == {store.read(key)} == {model.objects[key].value}


@pytest.mark.parametrize("turn", range(5))
def test_a_race_of_swaps_ends_as_in_the_model(store, turn):
    key = f"{PREFIX}race-of-swaps/{turn}"
    store.create(key, b"before")
    _, version = store.read_version(key)
    won = race(lambda value: store.swap(key, value, version))
    standing = store.read(key)
    model = StoreModel()
    before = model.put(key, b"before", CREATE, 0.0)
    model.put(key, standing, before, 0.0)
    with pytest.raises(Lost):
        model.put(key, b"another", before, 0.0)
    assert [b"racer %d" % number for number, it_won in enumerate(won) if it_won] == [standing]


def test_age_is_in_whole_seconds_of_the_stores_own_clock(store):
    key, model = f"{PREFIX}age", StoreModel()
    assert store.age(key) is None is model.age(key, 5.0)
    store.create(key, b"x")
    model.put(key, b"x", CREATE, 1.9)
    assert store.age(key) in (0.0, 1.0)
    assert model.age(key, 1.95) == 0.0
    assert model.age(key, 2.0) == 1.0
