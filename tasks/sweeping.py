"""Sweeping: a role removes below its own prefix what nothing needs any more, by age. No Prefect, no model.

What goes, once it is older than the bound:

    multipart uploads      that nobody completed or aborted
    the coordinator's      blobs that no message of any run or release refers to
    a party's              blobs that no message refers to of a run that is open, or closed within the bound
    either's               notices of drift, notes of them, and retrainings (`tasks/retraining/leftovers.py`)

So a global model stays while its run stands, and updates go when their run has been over for long enough.
The coordinator reads what parties wrote as far as a message can be long, whole or damaged: nobody takes
anything longer for a message, and what the coordinator needs, its own messages name. So what a party leaves
cannot hold up its sweep, and can only spare blobs, by naming them. A message of the sweeping role's own, or
of the coordinator's, that does not arrive as it was put stops a sweep: what it referred to is not known.

Age counts from the last put, by the store's clock: whoever uses a blob again puts it again, and so keeps
it. What goes of blobs is noted below the role's own prefix, so that `fedcart runs verify` tells swept from
deleted. The note comes first: after a crash a blob that is gone without one would pass for deleted for ever,
while one that is noted and still there is taken out of its note, by this sweep at its end or by the next.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.sweeping import (
    NOTE_LIMIT,
    SHORTEST_BOUND,
    Sweep,
    SweptObject,
    blob_name,
    check_bound,
    references,
)
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
    sweeps_prefix,
)
from infra.leftovers import StoredObject, Upload, abort_upload, list_objects, list_uploads
from infra.object_store import ObjectStore
from tasks.exchange import read_from_party
from tasks.retraining.leftovers import drift_leftovers
from validation.admission import RECEIPT_LIMIT

READERS = 8


@dataclass(frozen=True)
class Sweepable:
    """One thing that may go. `size` in bytes, `age` in seconds; `upload` when it is an unfinished one."""

    role: str
    key: str
    size: int
    age: float
    why: Literal["upload never finished", "nothing refers to it", "its run is over", "drift long past"]
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
    past = drift_leftovers(store, role, older_than)
    found += [Sweepable(role, each.key, each.size, each.age, "drift long past") for each in past]
    return sorted(found, key=lambda item: item.key)


def sweep(store: ObjectStore, role: str, older_than: float) -> list[Sweepable]:
    """Remove what `find_sweepable` finds; return what went.

    A blob is looked at once more right before it goes, and stays when it was put again meanwhile. One that is
    put between that look and the removal is taken all the same: a removal under a condition does not help,
    since the store's version of an object is a hash of its bytes, and those are the same. But whoever puts a
    blob looks for it once a message names it, and puts it again. So it is lost only where the removal comes
    after that look, though the look before the removal came before the put.
    """
    chosen = find_sweepable(store, role, older_than)
    blobs = [item for item in chosen if item.key.startswith(blobs_prefix(role)) and item.upload is None]
    objects = tuple(SweptObject(key=item.key, bytes=item.size) for item in blobs)
    note = _write(store, Sweep(role=role, older_than=older_than, objects=objects))
    gone = [item for item in chosen if _remove(store, item, older_than)]
    _settle_notes(store, role, note)
    return gone


def _write(store: ObjectStore, note: Sweep) -> str | None:
    """Put a note unless it is empty; return its key."""
    if not note.objects:
        return None
    data = canonical_json(note)
    key = sweep_key(note.role, sha256_hex(data))
    store.create(key, data)
    return key


def _settle_notes(store: ObjectStore, role: str, own: str | None) -> None:
    """Take out of the role's notes what is there after all: spared, put again, or left by a sweep that died.

    The narrower note stands before the wider one goes. A young note that is not this sweep's `own` may be
    that of another sweep, which is about to remove what it names, and stays as it is.
    """
    standing: frozenset[str] | None = None
    for key in list(store.list_keys(sweeps_prefix(role))):
        if key != own and (store.age(key) or 0.0) < SHORTEST_BOUND:
            continue
        note = read_from_party(store, key, Sweep, NOTE_LIMIT)
        if note is None:
            continue
        if standing is None:
            standing = frozenset(store.list_keys(blobs_prefix(role)))
        left = tuple(item for item in note.objects if item.key not in standing)
        if left != note.objects:
            _write(store, note.model_copy(update={"objects": left}))
            store.delete(key)


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
    needed = _references(store, role, standing)
    past = _references(store, role, over) if over else frozenset()
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


def _references(store: ObjectStore, role: str, runs: Iterable[str]) -> frozenset[str]:
    """What the messages of these runs refer to that the role may read: the coordinator's, a party's own.

    Releases refer to global models too, and outlive the run that made one.
    """

    def look(place: tuple[str, str]) -> frozenset[str]:
        who, key = place
        if who in (role, COORDINATOR):
            data = store.read(key)
        else:
            data = store.read(key, RECEIPT_LIMIT, checked=False)
        return frozenset() if data is None else references([data])

    roles = _readable(store, role)
    places = [(who, key) for run in runs for who in roles for key in store.list_keys(run_prefix(who, run))]
    if role == COORDINATOR:
        places += [(COORDINATOR, key) for key in store.list_keys(all_releases_prefix())]
    with ThreadPoolExecutor(READERS) as readers:
        return frozenset(chain.from_iterable(readers.map(look, places)))


def _readable(store: ObjectStore, role: str) -> tuple[str, ...]:
    if role == COORDINATOR:
        return (COORDINATOR, *store.list_folders(parties_prefix()))
    return (COORDINATOR, role)
