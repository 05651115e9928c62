"""Verifying a run whose coordinator and parties go on meanwhile: nothing is named that nobody touched.

A finished run is played again, write by write, between the requests of whoever verifies it.
"""

import itertools
import random
from contextlib import contextmanager
from threading import Lock

import pytest

from fedmodels.errors import StoreBusy
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.sweeping import Sweep, SweptObject
from infra.layout import closed_key, head_key, plan_key, round_key, sweep_key, update_key
from infra.object_store import ObjectStore
from tasks.verifying import listing
from tasks.verifying import run as verifying
from tasks.verifying.messages import examine_messages
from tasks.verifying.run import verify_run
from tasks.verifying.snapshot import read_snapshot
from tests.store_alone import store_of
from tests.tasks.verifying.conftest import owner
from tests.tasks.verifying.finished_run import finished_run

RUN = "moving-1"


class Replay:
    """A run's writes in their order; `go_on` makes the next one."""

    def __init__(self, home):
        self.writes = []
        with self._noting():
            self.run = finished_run(home, RUN, seed=31)
        self.done = len(self.writes)
        self._lock = Lock()

    @contextmanager
    def _noting(self):
        with pytest.MonkeyPatch.context() as patched:
            for name in ("create", "put_blob", "swap"):
                patched.setattr(ObjectStore, name, self._noted(getattr(ObjectStore, name)))
            yield

    def _noted(self, put):
        def noted(store, key, data, *version):
            self.writes.append((key, data))
            return put(store, key, data, *version)

        return noted

    def begin(self):
        """Take everything away but what was there before HEAD was."""
        for key, _ in self.writes:
            owner(self.run, key).delete(key)
        self.done = 0
        while head_key(RUN) not in dict(self.writes[: self.done]):
            self.go_on()

    def go_on(self):
        """Make the next write, and with the last HEAD `closed.json` too."""
        with self._lock:
            for key, data in self.writes[self.done : self.done + 1]:
                owner(self.run, key).put_blob(key, data)
                self.done += 1
            if self.done == len(self.writes) - 1:
                owner(self.run, closed_key(RUN)).put_blob(*self.writes[self.done])
                self.done += 1

    @property
    def over(self):
        return self.done == len(self.writes)


@pytest.fixture(scope="module")
def replay(bucket_home):
    return Replay(bucket_home)


@pytest.fixture
def meddling(bucket_home):
    """A store that calls `meddle` with each request's number before it is sent."""

    def made(meddle):
        store, numbers = store_of(bucket_home, "coordinator"), itertools.count()
        store.client.meta.events.register("before-send.s3", lambda **_: meddle(next(numbers)))
        return store

    return made


def broken(report):
    return {item.object: item.verdict for item in report.findings if not item.holds}


def test_an_open_run_holds_after_each_of_its_writes(replay):
    replay.begin()
    while not replay.over:
        found = examine_messages(read_snapshot(replay.run.store, RUN)).findings
        assert [item for item in found if not item.holds] == [], replay.writes[replay.done - 1][0]
        replay.go_on()


@pytest.mark.parametrize("seed", range(3))
def test_a_run_holds_that_moves_on_between_any_two_requests(replay, meddling, tmp_path, seed):
    draw = random.Random(seed)
    replay.begin()
    while not replay.over:
        begin, count = draw.randrange(20), draw.randrange(1, 9)
        store = meddling(lambda n, span=range(begin, begin + count): replay.go_on() if n in span else None)
        before = replay.done
        assert broken(verify_run(store, RUN, tmp_path)) == {}, (before, begin, count)


def test_a_round_that_is_committed_while_the_keys_are_listed(replay, meddling, tmp_path):
    """All of it, up to HEAD, between any two of the first requests."""
    rounds = [n for n, (key, _) in enumerate(replay.writes) if key == head_key(RUN)]
    for request in range(14):
        replay.begin()
        while replay.done <= rounds[1]:
            replay.go_on()

        def commit(number, request=request):
            while number == request and replay.done <= rounds[3]:
                replay.go_on()

        assert broken(verify_run(meddling(commit), RUN, tmp_path)) == {}, request


def test_what_was_changed_is_named_though_the_run_moves_on(replay, meddling, tmp_path):
    key, draw = round_key(RUN, 1, "record"), random.Random(7)
    replay.begin()
    while round_key(RUN, 2, "decision") not in dict(replay.writes[: replay.done]):
        replay.go_on()
    data = bytearray(replay.run.store.read(key))
    data[len(data) // 2] ^= 1
    replay.run.store.put_blob(key, bytes(data))
    while not replay.over:
        begin, count = draw.randrange(20), draw.randrange(1, 9)
        store = meddling(lambda n, span=range(begin, begin + count): replay.go_on() if n in span else None)
        assert broken(verify_run(store, RUN, tmp_path)) == {key: "changed"}


def test_a_run_that_never_holds_still_is_refused_and_not_judged(replay, meddling, monkeypatch):
    monkeypatch.setattr(listing, "LOOKS", 3)
    store, head = replay.run.store, replay.run.head
    epochs = itertools.count(2)

    def resumed(_number):
        moved = head.model_copy(update={"epoch": next(epochs)})
        store.put_blob(head_key(RUN), canonical_json(moved))

    with pytest.raises(StoreBusy, match="moved on between any two of 3 looks") as caught:
        read_snapshot(meddling(resumed), RUN)
    assert caught.value.code == "run-moving"


def test_the_last_message_is_waited_for_while_it_may_come(replay, meddling, tmp_path, monkeypatch):
    replay.begin()
    while not replay.over:
        replay.go_on()
    replay.run.store.delete(closed_key(RUN))
    monkeypatch.setattr(verifying, "CLOSING_S", 60.0)
    asked = itertools.count()

    def exists(self, key, exists=ObjectStore.exists):
        if key == closed_key(RUN) and next(asked) == 2:
            replay.run.store.put_blob(*replay.writes[-1])
        return exists(self, key)

    monkeypatch.setattr(ObjectStore, "exists", exists)
    assert broken(verify_run(replay.run.store, RUN, tmp_path)) == {}
    replay.run.store.delete(closed_key(RUN))
    monkeypatch.setattr(ObjectStore, "age", lambda self, key: 61.0)
    assert broken(verify_run(replay.run.store, RUN, tmp_path)) == {closed_key(RUN): "deleted"}


@pytest.fixture
def whole(replay):
    replay.begin()
    while not replay.over:
        replay.go_on()
    return replay.run


@pytest.mark.parametrize("noted", [True, False])
def test_an_update_that_goes_while_it_is_looked_at(whole, tmp_path, monkeypatch, noted):
    """It was there when its size was asked. Swept it is swept, and deleted it is deleted."""
    party, key = "shop-a", update_key("shop-a", whole.updates["shop-a", 3].update_sha256)
    note = Sweep(role=party, older_than=3600.0, objects=(SweptObject(key=key, bytes=1),))
    opened = ObjectStore.open

    def open_once_gone(self, asked):
        if asked == key and whole.store.exists(key):
            if noted:
                whole.stores[party].put_blob(sweep_key(party, "now"), canonical_json(note))
            whole.stores[party].delete(key)
        return opened(self, asked)

    monkeypatch.setattr(ObjectStore, "open", open_once_gone)
    report = verify_run(whole.store, RUN, tmp_path)
    whole.stores[party].delete(sweep_key(party, "now"))
    told = {item.object: item.verdict for item in report.findings if item.verdict != "ok"}
    told.pop("fine-tuning of round 2")
    verdict = ("swept", "swept") if noted else ("deleted", "not checked")
    assert told == dict(zip((key, "average of round 3"), verdict, strict=True))


def test_bytes_that_are_damaged_on_their_way_name_nothing(whole, tmp_path, monkeypatch):
    """The first time that anything arrives, a bit of it is flipped."""
    fetched, opened, seen = ObjectStore._fetch, ObjectStore.open, set()

    def fetch(self, key, limit):
        found = fetched(self, key, limit)
        if found is None or key in seen:
            return found
        seen.add(key)
        return found[0][:-9] + bytes([found[0][-9] ^ 1]) + found[0][-8:], *found[1:]

    class Flipping:
        def __init__(self, stream):
            self.read = lambda amount: (piece := stream.read(amount)) and piece[:-1] + bytes([piece[-1] ^ 1])

    @contextmanager
    def open_damaged(self, key):
        with opened(self, key) as stream:
            yield stream if key in seen else Flipping(stream)
        seen.add(key)

    monkeypatch.setattr(ObjectStore, "_fetch", fetch)
    monkeypatch.setattr(ObjectStore, "open", open_damaged)
    assert broken(verify_run(whole.store, RUN, tmp_path)) == {}
    assert {plan_key(RUN), head_key(RUN)} < seen
