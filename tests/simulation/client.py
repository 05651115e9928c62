"""What `infra/object_store.py` and the tasks' retries do, over requests that may fail."""

from collections.abc import Callable
from typing import Any

from fedmodels.errors import IntegrityError, StoreBusy, TransientError
from tests.simulation.requests import Age, Get, Put, Request, Sleep, Story
from tests.simulation.store_model import CREATE, Lost, Stored

RETRIES = 5
DAMAGED_READS = 4
"""How often what arrives damaged is read. A party's bytes are taken as they are then, a message is not."""
DAMAGED = "object-damaged"


def retried(attempt: Callable[[], Story]) -> Story:
    """What a task's retries do: the whole step again after growing waits; then the error is raised."""
    for number in range(RETRIES + 1):
        try:
            return (yield from attempt())
        except TransientError:
            if number == RETRIES:
                raise
            yield Sleep(1.0 * 2**number)
    raise AssertionError


def ask(request: Request) -> Story:
    """One request, tried again."""
    return (yield from retried(lambda: once(request)))


def once(request: Request) -> Story:
    """One request, tried once."""
    return (yield request)


def read(key: str) -> Story:
    """The content at `key`, or `None`."""
    found: Stored | None = yield from read_version(key)
    return None if found is None else found.value


def read_version(key: str) -> Story:
    """What stands at `key` with its version, or `None`."""
    return (yield from retried(lambda: whole(key)))


def whole(key: str) -> Story:
    """What stands at `key`, if it arrives as it was put.

    Raises:
        IntegrityError: it is the same wrong one each time, so it is damaged where it stands; names it.
        StoreBusy: it is wrong in another way each time.
    """
    wrong = []
    for _ in range(DAMAGED_READS):
        found: Stored | None = yield Get(key)
        if found is None or found.intact:
            return found
        wrong.append(found.value)
    if all(value == wrong[0] for value in wrong):
        raise rotten(key)
    raise StoreBusy(f"The object {key} did not arrive as it was put", code="store-damaged")


def rotten(key: str) -> IntegrityError:
    """What is said of an object that is damaged where it stands."""
    return IntegrityError(f"The object {key} is damaged in the store", code=DAMAGED)


def read_from_party(key: str) -> Story:
    """The bytes at `key`, or `None`; damaged ones only if they stay so."""
    for _ in range(DAMAGED_READS + 1):
        found: Stored | None = yield from ask(Get(key))
        if found is None or found.intact:
            break
    return None if found is None else found.value


def stream(key: str) -> Story:
    """The bytes of a blob as they arrive, or `None`: whoever reads them holds them against their name."""
    found: Stored | None = yield from ask(Get(key))
    return None if found is None else found.value


def exists(key: str) -> Story:
    """Whether anything stands at `key`."""
    return (yield from ask(Get(key))) is not None


def age(key: str) -> Story:
    """Seconds since the object was written, by the store's clock."""
    return (yield from ask(Age(key)))


def put(key: str, value: Any) -> Story:
    """Put content at a content-addressed key."""
    return (yield from ask(Put(key, value)))


def create(key: str, value: Any) -> Story:
    """Put unless the key exists; return what stands there afterwards."""
    try:
        yield from ask(Put(key, value, CREATE))
    except Lost:
        standing = yield from read(key)
        if standing is None:
            raise StoreBusy(f"The object {key} vanished while it was created") from None
        return standing
    return value


def swap(key: str, value: Any, version: int) -> Story:
    """Replace the object if it still has `version`; say whether `value` stands there now. Tried once."""
    try:
        yield from once(Put(key, value, version))
    except Lost:
        return (yield from read(key)) == value
    return True
