"""A model of the object store: what it promises, and nothing else.

Creation and compare-and-swap are atomic, a write is seen at once, time is whole seconds. A conformance
test plays the same operations against SeaweedFS (`tests/infra/test_store_model.py`).
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Message

_HASH = re.compile(r"\b[0-9a-f]{64}\b")
CREATE = "*"
"""Condition of a put that wants no object at its key."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: its content, its version, and when the store wrote it.

    `intact` stands for the hash that is put with a message: whether the content still has it.
    """

    value: Any
    version: int
    written: float
    intact: bool = True


def damaged(stored: Stored, place: int = 0) -> Stored:
    """The same object with a bit of it flipped: near the middle of bytes, or in the first hash of a message.

    Args:
        stored: the object.
        place: where; damage on the way is at another place each time, damage at rest at one and the same.
    """
    value = stored.value
    if isinstance(value, bytes):
        at = (len(value) // 2 + place) % len(value)
        value = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    elif isinstance(value, Message):
        digit = place % 64
        text = _HASH.sub(lambda found: _other_digit(found[0], digit), _text(value), 1)
        value = type(value).model_validate_json(text)
    return replace(stored, value=value, intact=False)


def _other_digit(sha256: str, at: int) -> str:
    return sha256[:at] + ("1" if sha256[at] == "0" else "0") + sha256[at + 1 :]


def _text(message: Message) -> str:
    return canonical_json(message).decode()


class Lost(Exception):
    """A conditional put whose condition does not hold (412)."""


class StoreModel:
    """Keys and what stands there."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self._contents: dict[str, list[Any]] = {}
        """Every content that a key ever had; its place is its version."""
        self._before_rot: dict[str, Stored] = {}

    def get(self, key: str) -> Stored | None:
        """What stands at `key`, if anything."""
        return self.objects.get(key)

    def put(self, key: str, value: Any, condition: str | int | None, now: float) -> int:
        """Write unconditionally, on `CREATE`, or on a version; return the new version.

        Raises:
            Lost: the condition does not hold.
        """
        standing = self.objects.get(key)
        if condition == CREATE and standing is not None:
            raise Lost
        if isinstance(condition, int) and (standing is None or standing.version != condition):
            raise Lost
        version = self._version_of(key, value)
        self.objects[key] = Stored(value, version, now)
        return version

    def rot(self, key: str) -> None:
        """Damage what stands at `key`, if anything does: every read shows it from now on."""
        if key in self.objects and self.objects[key].intact:
            self._before_rot[key] = self.objects[key]
            self.objects[key] = damaged(self.objects[key])

    def restore(self, key: str, now: float) -> None:
        """Put back from a backup what rotted at `key`, unless it was put again since."""
        if key in self.objects and not self.objects[key].intact:
            self.objects[key] = replace(self._before_rot[key], written=now)

    def delete(self, key: str) -> None:
        """Remove what stands at `key`; harmless when nothing does."""
        self.objects.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        """Keys below `prefix`, in order."""
        return sorted(key for key in self.objects if key.startswith(prefix))

    def age(self, key: str, now: float) -> float | None:
        """Seconds since the object was written, between whole seconds as HTTP has them."""
        standing = self.objects.get(key)
        return None if standing is None else float(math.floor(now) - math.floor(standing.written))

    def _version_of(self, key: str, value: Any) -> int:
        """The version is the content's, as an ETag is: content that comes back has its version again."""
        contents = self._contents.setdefault(key, [])
        if value not in contents:
            contents.append(value)
        return contents.index(value)
