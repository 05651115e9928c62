"""Pruning: the coordinator removes models of closed runs that no release and no open run refers to.

A sweep spares every blob that any message names, and so each global model as long as its run stands. A prune
takes those that only runs name of which nothing is to be expected any more. What stays, besides what an
option keeps, is every blob that is named by

    a run that is open, or was closed within the hour      in any of its messages, the parties' included
    a run with a release that is not over                  the same: so all that its lineage record names
    a message below releases/                              but that of a release which is over
    any other message of the coordinator's                 retrainings, say

Messages stay, all of them: they are small, and the audit. What goes is noted first, so that whoever needs a
model is told that it was pruned, and what was spared after all is taken out of the note at the end. Once the
note stands everything is looked at again: a release that was requested meanwhile is seen, and one that is
requested later sees the note (`tasks/release/pruned.py`). Right before a blob goes it is looked at once more,
as in a sweep: whoever uses it again has put it again, and so made it young.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

from fedmodels.errors import InputError
from fedmodels.protocol.pruning import Keep, RunFacts, is_over, why_kept
from fedmodels.protocol.sweeping import (
    ENOUGH,
    SHORTEST_BOUND,
    Gathered,
    Sweep,
    SweptObject,
    blob_name,
    shortened,
)
from infra.layout import (
    COORDINATOR,
    blobs_prefix,
    closed_key,
    prunes_prefix,
    release_key,
    releases_prefix,
    role_prefix,
    run_at,
    runs_prefix,
    sweeps_prefix,
)
from infra.leftovers import list_objects
from infra.object_store import ObjectStore
from tasks.gathering import gather, references_by_key
from tasks.reading import READERS, planned_run
from tasks.release.reading import read_history, read_release, release_numbers, released_recipes
from tasks.removal_notes import settle_notes, write_note

LONGEST = SHORTEST_BOUND / 2
"""Seconds, by the store's clock, for which a prune goes by its note; whoever sees the note believes in it for
twice as long."""


@dataclass(frozen=True)
class Prunable:
    """One blob that may go. `size` in bytes, `age` in seconds since its last put; `runs` that name it."""

    key: str
    size: int
    age: float
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Pruning:
    """What a prune finds: blobs in order of keys, runs of which nothing is kept, and why others stay."""

    objects: tuple[Prunable, ...]
    runs: tuple[str, ...]
    stays: Mapping[str, tuple[str, ...]]
    """Reason to the runs that stay for it."""


def find_prunable(store: ObjectStore, keep: Keep, recipe: str | None = None) -> Pruning:
    """What a prune would remove now; removes nothing.

    Args:
        store: the bucket with the coordinator's credentials.
        keep: what stays of runs without a release.
        recipe: the only one whose runs are pruned; `None`: each.

    Raises:
        InputError: `recipe-unknown`: no run in the bucket is of this recipe.
        IntegrityError: a message of the coordinator's is damaged: what it refers to is not known.
    """
    # What releases name is read before it is seen where they stand: one that is requested meanwhile keeps all
    # models of its run then, and not only the one that it names.
    spoken = references_by_key(store, COORDINATOR, _other_messages(store))
    releases = _look_at_releases(store)
    facts = _look_at_runs(store, releases.keeping)
    if recipe is not None and recipe not in {each.recipe for each in facts}:
        raise _unknown(recipe, facts)
    verdicts = why_kept(facts, keep, recipe)
    going = frozenset(run for run, reason in verdicts.items() if reason is None)
    stays: dict[str, list[str]] = defaultdict(list)
    for run, reason in verdicts.items():
        if reason is not None:
            stays[reason].append(run)
    named = {name for key, found in spoken.items() if not key.startswith(releases.over) for name in found}
    objects = tuple(_objects(store, going, named)) if going else ()
    return Pruning(objects, tuple(sorted(going)), {why: tuple(sorted(runs)) for why, runs in stays.items()})


def prune(store: ObjectStore, keep: Keep, recipe: str | None = None) -> Pruning:
    """Remove what `find_prunable` finds; return what went.

    It ends by itself after half an hour: the next one goes on.
    """
    chosen = find_prunable(store, keep, recipe)
    noted = tuple(SweptObject(key=item.key, bytes=item.size) for item in chosen.objects)
    note = Sweep(role=COORDINATOR, older_than=SHORTEST_BOUND, objects=noted)
    own = write_note(store, prunes_prefix(), note, uuid4().hex)  # one that died may have noted the same
    gone: tuple[Prunable, ...] = ()
    if own is not None:
        chosen = find_prunable(store, keep, recipe)  # a release may have been requested, or a run opened
        named = {item.key for item in noted}
        gone = tuple(each for each in chosen.objects if each.key in named and _remove(store, each, own))
    settle_notes(store, COORDINATOR, prunes_prefix(), own)
    return Pruning(gone, chosen.runs, chosen.stays)


def _remove(store: ObjectStore, item: Prunable, note: str) -> bool:
    """Whether the blob went: not one that was put again, and none when the note is no longer believed."""
    noted, age = store.age(note), store.age(item.key)
    if noted is None or noted >= LONGEST or age is None or age < SHORTEST_BOUND:
        return False
    store.delete(item.key)
    return True


@dataclass(frozen=True)
class _Releases:
    """Runs with a release that is not over, to where it stands; and the folders of those that are over."""

    keeping: Mapping[str, str]
    over: tuple[str, ...]


def _look_at_releases(store: ObjectStore) -> _Releases:
    keeping: dict[str, str] = {}
    over = []
    for recipe in released_recipes(store):
        history = read_history(store, recipe)
        keeping |= {pointer.run: "champion before" for pointer in history}
        for number in release_numbers(store, recipe):
            if not store.exists(release_key(recipe, number, "request")):
                continue  # whatever else stands there keeps what it names
            view = read_release(store, recipe, number, history)
            run = view.request.run
            documented = store.exists(release_key(recipe, number, "lineage"))
            answered = view.found is not None and view.found.approval is not None
            withdrawn = bool(view.marks)
            if is_over(view.standing, documented=documented, answered=answered, withdrawn=withdrawn):
                over.append(f"{releases_prefix(recipe)}{number:04d}/")
            elif keeping.get(run) != "champion":
                keeping[run] = view.standing
    return _Releases(keeping, tuple(over))


def _look_at_runs(store: ObjectStore, keeping: Mapping[str, str]) -> list[RunFacts]:
    ages = {found.key: found.age for found in list_objects(store, runs_prefix())}
    runs = sorted({run for key in ages if (run := run_at(key))})

    def look(run: str) -> RunFacts:
        planned, closed = planned_run(store, run), ages.get(closed_key(run))
        finished = closed is not None and _is_finished(store, run)
        return RunFacts(run, planned.recipe if planned else None, closed, finished, keeping.get(run))

    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(look, runs))


def _is_finished(store: ObjectStore, run: str) -> bool:
    """Whether the run came to its end, whatever version of fedcart closed it."""
    try:
        return bool(json.loads(store.read(closed_key(run)) or b"null")["status"] == "finished")
    except (ValueError, KeyError, TypeError):
        return False


def _objects(store: ObjectStore, going: frozenset[str], named: Set[str]) -> Iterator[Prunable]:
    """Blobs that these runs name, and no other run does, nor are they `named`; in order of keys."""
    gathered, _ = gather(store)
    ours: dict[str, list[str]] = defaultdict(list)
    for each in gathered.gathered:
        if (run := _run_of(each)) in going:
            for name in each.names:
                ours[name].append(run)
    kept = [each for each in gathered.gathered if _run_of(each) and _run_of(each) not in going]
    needed = {name for each in kept for name in each.names} | set(shortened(named))
    for blob in list_objects(store, blobs_prefix(COORDINATOR)):
        name = blob_name(blob.key)[:ENOUGH]
        if blob.age >= SHORTEST_BOUND and name in ours and name not in needed:
            yield Prunable(blob.key, blob.size, blob.age, tuple(ours[name]))


def _run_of(gathered: Gathered) -> str:
    """The run whose messages these references are of; empty when they are a release's."""
    kind, _, run = gathered.place.partition("/")
    return run if kind == "runs" else ""


def _other_messages(store: ObjectStore) -> Iterator[str]:
    """Keys of all messages of the coordinator's that are no run's."""
    role = COORDINATOR
    left_out = (runs_prefix(), blobs_prefix(role), sweeps_prefix(role), prunes_prefix())
    return (key for key in store.list_keys(role_prefix(role)) if not key.startswith(left_out))


def _unknown(recipe: str, facts: Iterable[RunFacts]) -> InputError:
    known = ", ".join(sorted({each.recipe for each in facts if each.recipe})) or "none"
    return InputError(
        f"No run in the bucket is of the recipe {recipe} (there are: {known})",
        fix="correct the name",
        code="recipe-unknown",
    )
