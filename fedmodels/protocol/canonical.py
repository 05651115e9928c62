"""One way to write a message as bytes, so that equal messages have equal hashes and signatures."""

import hashlib
import json

from pydantic import BaseModel


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with sorted keys, no blanks, and neither NaN nor infinity.

    Raises:
        ValueError: the value holds a number that JSON has no spelling for.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data`, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
