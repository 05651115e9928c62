"""Messages between `fedmodels` and the object store; the only place that knows both."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import ValidationError

from fedmodels.errors import IntegrityError, StoreBusy
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Message, Signed
from infra.keys import PrivateKey, sign
from infra.layout import run_at
from infra.object_store import DAMAGED, ROTTEN, ObjectStore

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parse(kind: type[AnyMessage], data: bytes, key: str) -> AnyMessage:
    """Read a message strictly.

    Raises:
        IntegrityError: the bytes are no such message; its content is not repeated.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError:
        run = run_at(key)
        see = f"see what else is wrong with fedcart runs verify {run}, and " if run else ""
        raise IntegrityError(
            f"The object {key} is no valid {kind.__name__} of this version of fedcart",
            fix=f"{see}restore it, or start a new run",
            code="message-invalid",
        ) from None


@contextmanager
def damage_told(key: str) -> Iterator[None]:
    """Let what is damaged in the store say how the rest of its run is looked at, and what comes then.

    Raises:
        IntegrityError: `object-damaged`.
    """
    try:
        yield
    except IntegrityError as error:
        run = run_at(key)
        if error.code != ROTTEN or run is None:
            raise
        see = f"see what else is damaged with fedcart runs verify {run}"
        raise IntegrityError(
            error.sentence, fix=f"{see}, {error.fix}, and resume the run if it is open", code=error.code
        ) from None


def read_bytes(store: ObjectStore, key: str) -> bytes | None:
    """What stands at `key`, whole, or `None` while nothing does."""
    with damage_told(key):
        return store.read(key)


def read_version(store: ObjectStore, key: str) -> tuple[bytes, str] | None:
    """What stands at `key`, whole, and its version; `None` while nothing does."""
    with damage_told(key):
        return store.read_version(key)


def read_message(store: ObjectStore, key: str, kind: type[AnyMessage]) -> AnyMessage | None:
    """The message at `key`, or `None` while there is none."""
    data = read_bytes(store, key)
    return None if data is None else parse(kind, data, key)


def read_as_it_is(store: ObjectStore, key: str, limit: int | None = None) -> bytes | None:
    """What stands at `key`, damaged or not, one byte more than `limit` at most; `None` when nothing does.

    Damage on the way is read again. What stays other than the hash that was put with it is taken as it is:
    whoever reads it finds out what is wrong.
    """
    try:
        return store.read(key, limit)
    except (StoreBusy, IntegrityError) as error:
        if error.code not in (DAMAGED, ROTTEN):
            raise
    return store.read(key, limit, checked=False)


def read_bytes_from_party(store: ObjectStore, key: str, limit: int) -> bytes | None:
    """What a party left at `key`, one byte more than `limit` of it at most; `None` while there is nothing.

    A party can put any hash with it, and so end nothing by that: a signature decides, or the reader.
    """
    return read_as_it_is(store, key, limit)


def read_from_party(store: ObjectStore, key: str, kind: type[AnyMessage], limit: int) -> AnyMessage | None:
    """The message that a party left at `key`; whatever else lies there is as good as none.

    Args:
        store: the bucket.
        key: of the object.
        kind: what the party may leave there.
        limit: bytes above which it is none.
    """
    data = read_bytes_from_party(store, key, limit)
    if data is None or len(data) > limit:
        return None
    try:
        return kind.model_validate_json(data)
    except ValidationError:
        return None


def create_message(store: ObjectStore, key: str, message: AnyMessage) -> AnyMessage:
    """Put a message that is written once; return the one that stands there, ours or an earlier one."""
    with damage_told(key):
        standing = store.create(key, canonical_json(message))
    return parse(type(message), standing, key)


def create_signed(store: ObjectStore, key: str, message: Message, signing_key: PrivateKey) -> None:
    """Put a signed message once. Whoever finds its message already there leaves it there."""
    payload = canonical_json(message)
    envelope = Signed(payload=payload.decode(), signature=sign(signing_key, payload))
    store.create(key, canonical_json(envelope))
