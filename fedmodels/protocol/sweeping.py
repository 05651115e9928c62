"""Which objects may be swept: pure rules over references and ages.

A blob stays while anything refers to it. A reference is its SHA-256 anywhere in a message: so a message of
a later version, with fields that this one does not know, protects what it names.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated

from pydantic import Field

from fedmodels.errors import InputError
from fedmodels.identifiers import Identifier
from fedmodels.protocol.messages import Message

SHORTEST_BOUND = 3600.0
"""Seconds. Below it a sweep could take what a round has just put and not yet referred to."""
NOTE_LIMIT = 64 * 1024 * 1024
"""Bytes of a sweep's note; it names some 400,000 objects."""
MOST_NOTED = 10_000
"""Objects of a note to which nothing is added; about 2 MB."""
ENOUGH = 16
"""Digits of a hash that tell blobs apart; two that agree in them would only spare each other."""
_HASH = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


class SweptObject(Message):
    """One object that was removed."""

    key: str
    bytes: Annotated[int, Field(ge=0)]


class Sweep(Message):
    """`sweeps/….json`, `prunes/….json`: what one sweep or prune removed, so that swept is not deleted.

    It is written before anything goes, and narrowed afterwards to what is gone.
    """

    role: Identifier
    older_than: Annotated[float, Field(ge=0.0)]
    objects: tuple[SweptObject, ...]


def settle(notes: Iterable[Sweep], standing: frozenset[str], most: int = MOST_NOTED) -> tuple[Sweep, ...]:
    """The notes without the objects that are there after all; those of fewer than `most` are put together.

    Put together are notes of one role and bound, up to fewer than twice `most` objects, each object once.
    """
    settled: list[Sweep] = []
    open_notes: dict[tuple[str, float], dict[str, SweptObject]] = {}
    for note in notes:
        left = {item.key: item for item in note.objects if item.key not in standing}
        if len(left) < most:
            left |= open_notes.pop((note.role, note.older_than), {})
        if len(left) < most:
            open_notes[note.role, note.older_than] = left
        else:
            settled.append(note.model_copy(update={"objects": tuple(left[key] for key in sorted(left))}))
    for (role, older_than), left in sorted(open_notes.items(), key=lambda item: item[0]):
        if left:
            objects = tuple(left[key] for key in sorted(left))
            settled.append(Sweep(role=role, older_than=older_than, objects=objects))
    return tuple(settled)


class Gathered(Message):
    """What the messages of one run, or of one recipe's releases, refer to.

    `versions` is a hash of all their keys and versions. `names` are the first digits of hashes.
    """

    place: str
    versions: str
    names: tuple[str, ...]


class References(Message):
    """`sweeps/references.json`: what the coordinator's sweep gathered, for the next one."""

    gathered: tuple[Gathered, ...]

    def need(self, name: str) -> bool:
        """Whether any message refers to the blob of this name."""
        return name[:ENOUGH] in self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(name for each in self.gathered for name in each.names)


def shortened(hashes: Iterable[str]) -> tuple[str, ...]:
    """As many digits of each as `References` keeps, in order."""
    return tuple(sorted({each[:ENOUGH] for each in hashes}))


def references(messages: Iterable[bytes]) -> frozenset[str]:
    """Every SHA-256 that stands in any of these messages."""
    return frozenset(found.decode() for data in messages for found in _HASH.findall(data))


def blob_name(key: str) -> str:
    """The hash that names a content-addressed object."""
    return key.rpartition("/")[2].partition(".")[0]


def parse_bound(text: str) -> float:
    """Seconds of `90m`, `36h`, `7d` or `2w`.

    Raises:
        InputError: it is no such duration, or shorter than `check_bound` allows.
    """
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not re.fullmatch(r"\d+(\.\d+)?", number):
        raise InputError(
            f"The age {text!r} is no number with a unit of {', '.join(_UNITS)}",
            fix="write it as 36h or 7d",
            code="duration-invalid",
        )
    return check_bound(float(number) * _UNITS[unit])


def check_bound(seconds: float) -> float:
    """Return `seconds` when a sweep may go by it.

    Raises:
        InputError: it is below the hour within which a put may be unreferenced yet.
    """
    if seconds < SHORTEST_BOUND:
        raise InputError(
            f"The age of {seconds:g} s is below {SHORTEST_BOUND:g} s, "
            "and an open run may just have put what nothing refers to yet",
            fix="give 1h or more",
            code="bound-too-short",
        )
    return seconds
