"""Notes of what a sweep or a prune removes: written before anything goes, narrowed to what is gone after.

After a crash a blob that is gone without a note would pass for deleted for ever, while one that is noted and
still there is taken out of its note by whoever settles the notes next.
"""

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.sweeping import NOTE_LIMIT, SHORTEST_BOUND, Sweep, settle
from infra.layout import COORDINATOR, blobs_prefix, note_key, prunes_prefix, sweeps_prefix
from infra.leftovers import list_objects
from infra.object_store import ObjectStore
from tasks.exchange import read_from_party

LOOKS = 50
"""At notes of which one was replaced between any two of them."""


def write_note(store: ObjectStore, prefix: str, note: Sweep, name: str = "") -> str | None:
    """Create a note unless it is empty; return its key.

    Args:
        store: the bucket.
        prefix: below which it lies.
        note: what it says.
        name: of a note that nobody else writes, whatever it says; empty: the hash of its content.
    """
    if not note.objects:
        return None
    data = canonical_json(note)
    key = note_key(prefix, name or sha256_hex(data))
    store.create(key, data)
    return key


def settle_notes(
    store: ObjectStore, role: str, prefix: str, own: str | None = None, besides: str | None = None
) -> None:
    """Take out of the notes what is there after all: spared, put again, or left by who died meanwhile.

    Small notes become one, so that there are never many to read. What takes a note's place stands before that
    one goes. A young note that is not the caller's `own` may be that of another process, which is about to
    remove what it names, and stays as it is.

    Args:
        store: the bucket with the role's own credentials.
        role: whose blobs the notes name.
        prefix: below which the notes lie.
        own: key of the caller's.
        besides: key of what lies there and is no note.
    """
    notes: dict[str, Sweep] = {}
    for found in list(list_objects(store, prefix)):
        if found.key != besides and (found.key == own or found.age >= SHORTEST_BOUND):
            note = read_from_party(store, found.key, Sweep, NOTE_LIMIT)
            notes |= {found.key: note} if note else {}
    if not notes:
        return
    settled = settle(notes.values(), frozenset(store.list_keys(blobs_prefix(role))))
    kept = {write_note(store, prefix, note) for note in settled if note not in notes.values()}
    for key, note in notes.items():
        if note not in settled and key not in kept:
            store.delete(key)


def read_swept(store: ObjectStore, party: str) -> frozenset[str]:
    """Keys of the updates that a party says it swept."""
    return _noted(store, party, sweeps_prefix(party))


def read_pruned(store: ObjectStore) -> frozenset[str]:
    """Keys of the models that the coordinator pruned, or is about to."""
    return _noted(store, COORDINATOR, prunes_prefix())


def _noted(store: ObjectStore, role: str, prefix: str) -> frozenset[str]:
    """Keys of a role's blobs in all of the notes.

    Who settles notes replaces one by a narrower one, which stands first: so they are read until none of them
    was replaced meanwhile, or their role does nothing else.
    """
    found: dict[str, Sweep | None] = {}
    for _ in range(LOOKS):
        keys = tuple(store.list_keys(prefix))
        found |= {k: read_from_party(store, k, Sweep, NOTE_LIMIT) for k in keys if k not in found}
        if keys == tuple(store.list_keys(prefix)):
            break
    named = (item.key for note in found.values() if note for item in note.objects)
    return frozenset(key for key in named if key.startswith(blobs_prefix(role)))
