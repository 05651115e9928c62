"""Sweeping: a role removes below its own prefix what nothing needs any more, by age. No Prefect, no model.

What goes, once it is older than the bound:

    multipart uploads      that nobody completed or aborted
    the coordinator's      blobs that no message of any run or release refers to
    a party's              blobs that no message refers to of a run that is open, or closed within the bound

So a global model stays while its run stands, and updates go when their run has been over for long enough.
Age counts from the last put, by the store's clock: whoever uses a blob again puts it again, and so keeps
it. What goes is noted below the role's own prefix first, so that `fedcart runs verify` tells swept
from deleted.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.sweeping import Sweep, SweptObject, blob_name, check_bound, references
from infra.layout import (
    COORDINATOR,
    all_releases_prefix,
    blobs_prefix,
    closed_key,
    parties_prefix,
    role_prefix,
    run_prefix,
    runs_prefix,
    sweep_key,
)
from infra.leftovers import StoredObject, Upload, abort_upload, list_objects, list_uploads
from infra.object_store import ObjectStore

READERS = 8


@dataclass(frozen=True)
class Sweepable:
    """One thing that may go. `size` in bytes, `age` in seconds; `upload` when it is an unfinished one."""

    role: str
    key: str
    size: int
    age: float
    why: Literal["upload never finished", "nothing refers to it", "its run is over"]
    upload: Upload | None = None


def find_sweepable(store: ObjectStore, role: str, older_than: float) -> list[Sweepable]:
    """What a sweep would remove now, in order of keys; removes nothing.

    Args:
        store: the bucket with the role's own credentials.
        role: `coordinator`, or the id of a party.
        older_than: age in seconds that everything which goes has reached; at least an hour.
    """
    check_bound(older_than)
    uploads = [upload for upload in list_uploads(store, role_prefix(role)) if upload.age >= older_than]
    old = [blob for blob in list_objects(store, blobs_prefix(role)) if blob.age >= older_than]
    found = [Sweepable(role, u.key, u.size, u.age, "upload never finished", u) for u in uploads]
    if old:  # only then the runs have to be read
        found += _unneeded(store, role, older_than, old)
    return sorted(found, key=lambda item: item.key)


def sweep(store: ObjectStore, role: str, older_than: float) -> list[Sweepable]:
    """Remove what `find_sweepable` finds; return what went.

    A blob is looked at once more right before it goes, and stays when it was put again meanwhile. What a
    round puts between that look and the removal, a few milliseconds, would be lost: its round would stop at
    the missing blob.
    """
    chosen = find_sweepable(store, role, older_than)
    blobs = [item for item in chosen if item.upload is None]
    if blobs:
        objects = tuple(SweptObject(key=item.key, bytes=item.size) for item in blobs)
        note = canonical_json(Sweep(role=role, older_than=older_than, objects=objects))
        store.create(sweep_key(role, sha256_hex(note)), note)
    return [item for item in chosen if _remove(store, item, older_than)]


def _remove(store: ObjectStore, item: Sweepable, older_than: float) -> bool:
    if item.upload is not None:
        abort_upload(store, item.upload)
        return True
    age = store.age(item.key)
    if age is None or age < older_than:
        return False
    store.delete(item.key)
    return True


def _unneeded(
    store: ObjectStore, role: str, older_than: float, old: Iterable[StoredObject]
) -> Iterator[Sweepable]:
    """Old blobs that nothing refers to which still stands."""
    standing, over = _runs(store, role, older_than)
    needed = references(_messages(store, role, standing))
    past = references(_messages(store, role, over)) if over else frozenset()
    for blob in old:
        name = blob_name(blob.key)
        if name not in needed:
            why: Literal["its run is over", "nothing refers to it"]
            why = "its run is over" if name in past else "nothing refers to it"
            yield Sweepable(role, blob.key, blob.size, blob.age, why)


def _runs(store: ObjectStore, role: str, older_than: float) -> tuple[list[str], list[str]]:
    """Runs whose references hold the role's blobs, and those that are over and hold them no longer."""
    runs = {*store.list_folders(runs_prefix()), *store.list_folders(f"{role_prefix(role)}runs/")}
    over = set()
    if role != COORDINATOR:  # a global model is kept as long as its run is on record
        ages = {run: store.age(closed_key(run)) for run in runs}
        over = {run for run, age in ages.items() if age is not None and age >= older_than}
    return sorted(runs - over), sorted(over)


def _messages(store: ObjectStore, role: str, runs: Iterable[str]) -> Iterator[bytes]:
    """Every message of these runs that the role may read: the coordinator's, and a party's own.

    Releases refer to global models too, and outlive the run that made one.
    """
    roles = _readable(store, role)
    of_runs = chain.from_iterable(store.list_keys(run_prefix(who, run)) for run in runs for who in roles)
    keys = chain(of_runs, store.list_keys(all_releases_prefix())) if role == COORDINATOR else of_runs
    with ThreadPoolExecutor(READERS) as readers:
        yield from (data for data in readers.map(store.read, keys) if data is not None)


def _readable(store: ObjectStore, role: str) -> tuple[str, ...]:
    if role == COORDINATOR:
        return (COORDINATOR, *store.list_folders(parties_prefix()))
    return (COORDINATOR, role)
