"""What a version of a party's tables is: a numbered document, and a chain of keyed hashes over all of them.

    0001.json ← 0002.json ← 0003.json       each `seal` covers the document and the seal before it

Pure. The key never leaves the party: `keyed_hash`, which may, tells nobody who has the same rows that they
are the same, and nobody without the key can write a history that holds together.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from fedmodels.identifiers import Identifier
from fedmodels.protocol.canonical import canonical_json

_HASH_PURPOSE, _SEAL_PURPOSE = b"fedcart data version v1", b"fedcart data history v1"
SHORTEST_PREFIX = 6
"""Characters of a keyed hash that name a version, at least: fewer may be a number."""
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_SUFFIX = r"^(\.[A-Za-z0-9]{1,16})?$"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PinnedTable(_Document):
    """One table of a version. `md5` is what DVC calls it by."""

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    bytes: Annotated[int, Field(ge=0)]
    rows: Annotated[int, Field(ge=0)]
    suffix: Annotated[str, Field(pattern=_SUFFIX)]
    """Of the file's name."""
    columns: tuple[tuple[str, str], ...]
    """Names and types."""


class PinnedVersion(_Document):
    """The tables of a recipe at a party as they were at one moment."""

    recipe: Identifier
    number: Annotated[int, Field(ge=1)]
    created: datetime
    tables: Annotated[dict[Identifier, PinnedTable], Field(min_length=1)]
    keyed_hash: _Digest
    """HMAC-SHA256 of the tables' names and contents: equal tables of this party have the same."""
    seal: _Digest
    """HMAC-SHA256 of all of the above, and of the seal of the version before."""

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(table.rows for table in self.tables.values())

    @property
    def size(self) -> int:
        """Of all tables, in bytes."""
        return sum(table.bytes for table in self.tables.values())


def keyed_hash(tables: Mapping[str, PinnedTable], key: bytes) -> str:
    """The hash that stands for these tables, 64 hexadecimal digits; neither order nor file names matter."""
    told = "\n".join(f"{name} {tables[name].md5} {tables[name].bytes}" for name in sorted(tables))
    return hmac.new(key, _HASH_PURPOSE + b"\0" + told.encode(), sha256).hexdigest()


def next_version(
    before: Sequence[PinnedVersion],
    recipe: str,
    tables: Mapping[str, PinnedTable],
    created: datetime,
    key: bytes,
) -> PinnedVersion:
    """The version that follows those of the recipe that there are."""
    open_end = PinnedVersion(
        recipe=recipe,
        number=len(before) + 1,
        created=created,
        tables=dict(tables),
        keyed_hash=keyed_hash(tables, key),
        seal="0" * 64,
    )
    return open_end.model_copy(update={"seal": _seal(open_end, before[-1] if before else None, key)})


def broken_at(versions: Sequence[PinnedVersion], key: bytes) -> int | None:
    """Number of the first version that is not what was pinned, or is missing; `None` when all hold."""
    before: PinnedVersion | None = None
    for number, version in enumerate(versions, start=1):
        holds = version.number == number and hmac.compare_digest(version.seal, _seal(version, before, key))
        if not holds:
            return number
        before = version
    return None


def _seal(version: PinnedVersion, before: PinnedVersion | None, key: bytes) -> str:
    told = canonical_json(version.model_copy(update={"seal": before.seal if before else "0" * 64}))
    return hmac.new(key, _SEAL_PURPOSE + b"\0" + told, sha256).hexdigest()


def is_suffix(suffix: str) -> bool:
    """Whether a version can name a file's ending, with its dot, as it is."""
    return re.fullmatch(_SUFFIX, suffix) is not None
