"""The messages of a run as they stand in the bucket at one moment, each at its place."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    Closed,
    Decision,
    Evaluation,
    Head,
    Message,
    Plan,
    Receipt,
    Record,
    Signed,
)
from infra.layout import (
    COORDINATOR,
    closed_key,
    evaluation_key,
    head_key,
    plan_key,
    receipt_key,
    role_prefix,
    round_key,
    runs_prefix,
)
from infra.object_store import ObjectStore
from tasks.exchange import read_as_it_is
from tasks.reading import unknown_run
from tasks.verifying.listing import settled
from validation.admission import RECEIPT_LIMIT

AnyMessage = TypeVar("AnyMessage", bound=Message)
Kind = TypeVar("Kind", bound=Message, covariant=True)
READERS = 8
ROUND_MESSAGES: Mapping[type[Message], str] = {
    Announcement: "announcement",
    Decision: "decision",
    Candidate: "candidate",
    Record: "record",
}
SIGNED: frozenset[type[Message]] = frozenset({Receipt, Evaluation})
KINDS: tuple[type[Message], ...] = (Plan, Head, Closed, *ROUND_MESSAGES, *sorted(SIGNED, key=repr))


@dataclass(frozen=True)
class Held(Generic[Kind]):
    """What stands at one key: its bytes' hash, and the message if it is one of the kind that belongs there.

    `envelope` is what carries a signed message. `canonical` says whether the bytes are spelt in the one
    way in which messages are written.
    """

    key: str
    sha256: str | None = None
    message: Kind | None = None
    envelope: Signed | None = None
    canonical: bool = False

    @property
    def there(self) -> bool:
        """Whether there is an object."""
        return self.sha256 is not None


@dataclass(frozen=True)
class Snapshot:
    """All bytes of a run's messages by key, and the ids of all runs."""

    run: str
    objects: Mapping[str, bytes]
    parties: tuple[str, ...]
    runs: frozenset[str]
    _parsed: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was parsed already: each message is asked for many times."""

    def held(self, kind: type[AnyMessage], round_number: int = 0, party: str = "") -> Held[AnyMessage]:
        """What stands where a message of this kind, round and party belongs."""
        key = key_of(kind, self.run, round_number, party)
        if key not in self._parsed:
            self._parsed[key] = _hold(kind, key, self.objects.get(key))
        held: Held[AnyMessage] = self._parsed[key]
        return held

    @cached_property
    def last_round(self) -> int:
        """Highest round of which any message stands."""
        names = [key.split("/rounds/")[1].split("/")[0] for key in self.objects if "/rounds/" in key]
        return max((int(name) for name in names if name.isdigit()), default=0)


def key_of(kind: type[Message], run: str, round_number: int = 0, party: str = "") -> str:
    """Where a message of this kind, round and party belongs."""
    if name := ROUND_MESSAGES.get(kind):
        return round_key(run, round_number, name)
    if kind is Receipt:
        return receipt_key(party, run, round_number)
    if kind is Evaluation:
        return evaluation_key(party, run, round_number)
    return {Plan: plan_key, Head: head_key, Closed: closed_key}[kind](run)


def read_snapshot(store: ObjectStore, run: str) -> Snapshot:
    """Fetch every message of a run, the coordinator's and the parties', as they stand at one moment.

    Raises:
        InputError: nothing of such a run stands in the bucket.
        StoreBusy: the run moves on faster than it can be listed.
    """
    look = settled(store, run)
    keys = [*look.own, *chain.from_iterable(look.theirs.values())]
    if not keys:
        raise unknown_run(store, run)
    runs = frozenset(store.list_folders(runs_prefix()))

    def read(key: str) -> bytes | None:
        """Damaged or not: what is wrong with it is found out later. Of a party's, no more than can count."""
        limit = None if key.startswith(role_prefix(COORDINATOR)) else RECEIPT_LIMIT
        return look.moving[key] if key in look.moving else read_as_it_is(store, key, limit)

    with ThreadPoolExecutor(READERS) as readers:
        found = zip(keys, readers.map(read, keys), strict=True)
        objects = {key: data for key, data in found if data is not None}
    involved = tuple(party for party, theirs in look.theirs.items() if theirs)
    return Snapshot(run, objects, involved, runs)


def _hold(kind: type[AnyMessage], key: str, data: bytes | None) -> Held[AnyMessage]:
    if data is None:
        return Held(key)
    message, envelope = _parse(kind, data)
    return Held(key, sha256_hex(data), message, envelope, _is_canonical(data))


def parse_any(data: bytes) -> Message | None:
    """The message that these bytes are, of whatever kind."""
    for kind in KINDS:
        if message := _parse(kind, data)[0]:
            return message
    return None


def _parse(kind: type[AnyMessage], data: bytes) -> tuple[AnyMessage | None, Signed | None]:
    try:
        if kind not in SIGNED:
            return kind.model_validate_json(data), None
        envelope = Signed.model_validate_json(data)
    except ValidationError:
        return None, None
    try:
        return kind.model_validate_json(envelope.payload), envelope
    except ValidationError:
        return None, envelope


def _is_canonical(data: bytes) -> bool:
    try:
        return canonical_json(json.loads(data)) == data
    except ValueError:
        return False
