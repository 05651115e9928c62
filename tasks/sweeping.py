"""Sweeping: a role removes below its own prefix what nothing needs any more, by age. No Prefect, no model.

What goes, once it is older than the bound:

    multipart uploads      that nobody completed or aborted, of data versions and recorded releases, too
    the coordinator's      blobs that no message of any run or release refers to
    a party's              blobs that no message refers to of a run that is open, or closed within the bound
    either's               notices of drift, notes of them, and retrainings (`tasks/retraining/leftovers.py`)

So a global model stays while its run stands, and updates go when their run has been over for long enough.
What runs refer to that are over is read once (`tasks/gathering.py`), or not at all for a party's updates.
The coordinator reads what parties wrote as far as a message can be long, whole or damaged: nobody takes
anything longer for a message, and what the coordinator needs, its own messages name. So what a party leaves
cannot hold up its sweep, and can only spare blobs, by naming them. A message of the sweeping role's own, or
of the coordinator's, that has to be read and does not arrive as it was put stops a sweep: what it referred to
is not known.

Age counts from the last put, by the store's clock: whoever uses a blob again puts it again, and so keeps
it. What goes of blobs is noted below the role's own prefix (`tasks/removal_notes.py`), so that `fedcart runs
verify` tells swept from deleted.
"""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from fedmodels.errors import StoreRefused
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.sweeping import References, Sweep, SweptObject, blob_name, check_bound
from infra.layout import (
    COORDINATOR,
    PRIVATE,
    blobs_prefix,
    closed_key,
    own_prefix,
    prunes_prefix,
    role_prefix,
    runs_prefix,
    sweeps_prefix,
)
from infra.leftovers import StoredObject, Upload, abort_upload, list_objects, list_uploads
from infra.object_store import ObjectStore
from tasks.gathering import REFERENCES_KEY, gather, read_references
from tasks.removal_notes import settle_notes, write_note
from tasks.retraining.leftovers import drift_leftovers


@dataclass(frozen=True)
class Sweepable:
    """One thing that may go. `size` in bytes, `age` in seconds; `upload` when it is an unfinished one."""

    role: str
    key: str
    size: int
    age: float
    why: Literal["upload never finished", "nothing refers to it", "no run needs it", "drift long past"]
    upload: Upload | None = None


def find_sweepable(store: ObjectStore, role: str, older_than: float) -> list[Sweepable]:
    """What a sweep would remove now, in order of keys; removes nothing.

    Args:
        store: the bucket with the role's own credentials.
        role: `coordinator`, or the id of a party.
        older_than: age in seconds that everything which goes has reached; at least an hour.
    """
    return _find(store, role, older_than)[0]


def _find(store: ObjectStore, role: str, older_than: float) -> tuple[list[Sweepable], References | None]:
    """What `find_sweepable` finds, and what had to be read for it that the next sweep can do without."""
    check_bound(older_than)
    news = None
    uploads = [upload for upload in _uploads(store, role) if upload.age >= older_than]
    old = [blob for blob in list_objects(store, blobs_prefix(role)) if blob.age >= older_than]
    found = [Sweepable(role, u.key, u.size, u.age, "upload never finished", u) for u in uploads]
    if old and role == COORDINATOR:  # only then the runs have to be looked at
        gathered, changed = gather(store)
        found += [_blob(role, blob) for blob in old if not gathered.need(blob_name(blob.key))]
        news = gathered if changed else None
    elif old:
        needed = _standing_references(store, role, older_than)
        found += [_blob(role, blob) for blob in old if blob_name(blob.key) not in needed]
    past = drift_leftovers(store, role, older_than)
    found += [Sweepable(role, each.key, each.size, each.age, "drift long past") for each in past]
    return sorted(found, key=lambda item: item.key), news


def _uploads(store: ObjectStore, role: str) -> list[Upload]:
    """Unfinished ones below the prefix that others read, and below the one that DVC keeps things in for it.

    A role may keep those elsewhere, and then needs no right on that second prefix.
    """
    found = list(list_uploads(store, role_prefix(role)))
    with suppress(StoreRefused):
        found += list_uploads(store, f"{PRIVATE}/" if role == COORDINATOR else own_prefix(role))
    return found


def _blob(role: str, blob: StoredObject) -> Sweepable:
    why: Literal["nothing refers to it", "no run needs it"]
    why = "nothing refers to it" if role == COORDINATOR else "no run needs it"
    return Sweepable(role, blob.key, blob.size, blob.age, why)


def sweep(store: ObjectStore, role: str, older_than: float) -> list[Sweepable]:
    """Remove what `find_sweepable` finds; return what went.

    A blob is looked at once more right before it goes, and stays when it was put again meanwhile. One that is
    put between that look and the removal is taken all the same: a removal under a condition does not help,
    since the store's version of an object is a hash of its bytes, and those are the same. But whoever puts a
    blob looks for it once a message names it, and puts it again. So it is lost only where the removal comes
    after that look, though the look before the removal came before the put.
    """
    chosen, news = _find(store, role, older_than)
    if news is not None:
        store.put_blob(REFERENCES_KEY, canonical_json(news))
    blobs = [item for item in chosen if item.key.startswith(blobs_prefix(role)) and item.upload is None]
    objects = tuple(SweptObject(key=item.key, bytes=item.size) for item in blobs)
    note = write_note(store, sweeps_prefix(role), Sweep(role=role, older_than=older_than, objects=objects))
    gone = [item for item in chosen if _remove(store, item, older_than)]
    settle_notes(store, role, sweeps_prefix(role), note, besides=REFERENCES_KEY)
    if role == COORDINATOR:  # of one that died
        settle_notes(store, role, prunes_prefix())
    return gone


def _remove(store: ObjectStore, item: Sweepable, older_than: float) -> bool:
    if item.upload is not None:
        abort_upload(store, item.upload)
        return True
    age = store.age(item.key)
    if age is None or age < older_than:
        return False
    store.delete(item.key)
    return True


def _standing_references(store: ObjectStore, party: str, older_than: float) -> frozenset[str]:
    """What messages of the coordinator's and the party's own refer to, of runs that hold the party's blobs.

    Those are open, or were closed within the bound. The others are listed, and none of them is read.
    """
    own = f"{role_prefix(party)}runs/"
    listed = [(runs_prefix(), found) for found in list_objects(store, runs_prefix())]
    listed += [(own, found) for found in list_objects(store, own)]
    by_run: dict[str, list[StoredObject]] = defaultdict(list)
    for prefix, found in listed:
        by_run[found.key.removeprefix(prefix).partition("/")[0]].append(found)
    standing = (
        found
        for run, messages in by_run.items()
        if not any(each.key == closed_key(run) and each.age >= older_than for each in messages)
        for found in messages
    )
    return read_references(store, party, [found.key for found in standing])
