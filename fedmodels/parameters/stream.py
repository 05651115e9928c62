"""Readers and writers of model files: sequential, hashed on the way, with memory of one chunk."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, Protocol
from uuid import uuid4

from fedmodels.full_disk import full_disk_told

CHUNK_BYTES = 1024 * 1024
"""Fits the processor's cache: a quarter of the memory of 4 MiB, and no more CPU seconds."""

_PARTIAL = ".partial"
_A_DAY_S = 86400.0


class ChunkReader(Protocol):
    """Anything that is read once, front to back: an object's body, an open file, `io.BytesIO`."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end and only there."""
        ...


def read_fully(reader: ChunkReader, size: int) -> bytes:
    """The next `size` bytes; fewer only when the stream ends. A network body may answer in pieces."""
    first = reader.read(size)
    if len(first) == size or not first:
        return first
    parts, missing = [first], size - len(first)
    while missing and (part := reader.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


class HashingReader:
    """A reader that counts what passes through it and takes its SHA-256."""

    def __init__(self, source: ChunkReader) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self.count = 0

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes; fewer only when the stream ends."""
        data = read_fully(self._source, size)
        self._hash.update(data)
        self.count += len(data)
        return data

    @property
    def sha256(self) -> str:
        """SHA-256 of everything read so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


class HashingWriter:
    """A writer that counts what passes through it and takes its SHA-256."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.count = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Append all of `data`, whatever the type of its elements."""
        view = memoryview(data)
        self._target.write(view)
        self._hash.update(view)
        self.count += view.nbytes

    @property
    def sha256(self) -> str:
        """SHA-256 of everything written so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[HashingWriter]:
    """Write `path` whole or not at all: the body writes a neighbour, which takes the name at the end.

    Not synced to disk: what is written here is a copy of what the store holds, or goes there next. Several
    may write the same path at once: each writes a neighbour of its own. One that was left by a process which
    was killed goes when the same path is written a day later.

    Raises:
        InputError: the disk is full (`disk-full`); no part of the file stays.
    """
    for left in path.parent.glob(f".{escape(path.name)}.*{_PARTIAL}"):
        with suppress(FileNotFoundError):  # its writer lives and is done with it, or another one sees to it
            if time.time() - left.stat().st_mtime > _A_DAY_S:
                left.unlink()
    partial = path.with_name(f".{path.name}.{uuid4().hex}{_PARTIAL}")
    try:
        with full_disk_told(path.name):
            with partial.open("wb") as target:
                yield HashingWriter(target)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
