"""Messages between `fedmodels` and the object store; the only place that knows both."""

from typing import TypeVar

from pydantic import ValidationError

from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Message, Signed
from infra.keys import PrivateKey, sign, verify
from infra.object_store import ObjectStore

AnyMessage = TypeVar("AnyMessage", bound=Message)
MESSAGE_LIMIT = 4 * 1024 * 1024
"""Bytes of a party's message: room for the compute intervals of some 100,000 steps."""


def parse(kind: type[AnyMessage], data: bytes, key: str) -> AnyMessage:
    """Read a message strictly.

    Raises:
        IntegrityError: the bytes are no such message; its content is not repeated.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError:
        raise IntegrityError(
            f"The object {key} is no valid {kind.__name__} of this version of fedcart",
            fix="restore it, or start a new run",
            code="message-invalid",
        ) from None


def read_message(store: ObjectStore, key: str, kind: type[AnyMessage]) -> AnyMessage | None:
    """The message at `key`, or `None` while there is none."""
    data = store.read(key)
    return None if data is None else parse(kind, data, key)


def read_from_party(
    store: ObjectStore, key: str, kind: type[AnyMessage], limit: int = MESSAGE_LIMIT
) -> AnyMessage | None:
    """The message that a party left at `key`; whatever else lies there is as good as none."""
    return parse_from_party(kind, store.read(key, limit) or b"", limit)


def parse_from_party(kind: type[AnyMessage], data: bytes, limit: int = MESSAGE_LIMIT) -> AnyMessage | None:
    """Read a party's bytes strictly: `None` when they are no such message, or more than `limit` of them."""
    if len(data) > limit:
        return None
    try:
        return kind.model_validate_json(data)
    except ValidationError:
        return None


def parse_signed(kind: type[AnyMessage], envelope: bytes, public_key: str) -> AnyMessage | None:
    """The message in a party's envelope, if the party's key signed it; anything else is as good as none."""
    signed = parse_from_party(Signed, envelope)
    if signed is None or not verify(public_key, signed.payload.encode(), signed.signature):
        return None
    return parse_from_party(kind, signed.payload.encode())


def create_message(store: ObjectStore, key: str, message: AnyMessage) -> AnyMessage:
    """Put a message that is written once; return the one that stands there, ours or an earlier one."""
    return parse(type(message), store.create(key, canonical_json(message)), key)


def message_sha256(message: Message) -> str:
    """The hash by which other messages name this one."""
    return sha256_hex(canonical_json(message))


def create_signed(store: ObjectStore, key: str, message: Message, signing_key: PrivateKey) -> None:
    """Put a signed message once. Whoever finds its message already there leaves it there."""
    payload = canonical_json(message)
    envelope = Signed(payload=payload.decode(), signature=sign(signing_key, payload))
    store.create(key, canonical_json(envelope))
