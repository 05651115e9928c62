"""The bucket for a command that only looks: the store is started alone when the stack is down."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.following import coordinator_store
from infra.local.stack import borrowed_store
from infra.object_store import ObjectStore


@contextmanager
def open_store(home: Path) -> Iterator[ObjectStore]:
    """The coordinator's view of the bucket; a store that was started for it is stopped again."""
    with borrowed_store(home):
        yield coordinator_store(home)
