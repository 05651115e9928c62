"""What drift leaves in the bucket and nothing needs any more, for a role to sweep below its own prefix.

a party's notices          that are too old to count
the coordinator's notes    of notices that are too old to count and that are gone: while a notice stands,
                           its note is what keeps the watch from judging it again
retrainings                that are over, with the release of what came of them; the last number stays, and
                           so does the last one that began a run, from which the cool-down counts
"""

import json
from collections.abc import Iterator
from typing import Any

from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.retraining import RetrainingRequest
from infra.layout import (
    COORDINATOR,
    all_releases_prefix,
    all_retrainings_prefix,
    champion_key,
    closed_key,
    drift_prefix,
    plan_key,
    retrainings_prefix,
    seen_notices_prefix,
)
from infra.leftovers import StoredObject, list_objects
from infra.object_store import ObjectStore
from tasks.exchange import read_from_party

REQUEST_LIMIT = 4 * 1024 * 1024
"""Bytes above which an object is no request."""


def drift_leftovers(store: ObjectStore, role: str, older_than: float) -> Iterator[StoredObject]:
    """What of the role's may go.

    Args:
        store: the bucket with the role's own credentials.
        role: `coordinator`, or the id of a party.
        older_than: age in seconds that everything which goes has reached.
    """
    own = drift_prefix(role) if role != COORDINATOR else seen_notices_prefix()
    old = [found for found in list_objects(store, own) if found.age >= older_than]
    retrainings = store.list_folders(all_retrainings_prefix()) if role == COORDINATOR else []
    if not (old or retrainings):
        return
    bound = max(older_than, longest_notice_age(store))
    late = [found for found in old if found.age >= bound]
    yield from late if role != COORDINATOR else _without_notice(store, late)
    for recipe in retrainings:
        yield from _over(store, recipe, bound)


def longest_notice_age(store: ObjectStore) -> float:
    """Seconds for which a notice about any champion may count."""
    champions = (
        _stated(store, champion_key(recipe), "run") for recipe in store.list_folders(all_releases_prefix())
    )
    plans = (plan_key(str(run)) for run in champions if run)
    ages = (_stated(store, plan, "recipe", "drift", "max_notice_age") for plan in plans)
    return max((float(age) for age in ages if age), default=0.0)


def _without_notice(store: ObjectStore, notes: list[StoredObject]) -> Iterator[StoredObject]:
    """Those of the notes whose notices have been swept by their parties."""
    standing: dict[str, frozenset[str]] = {}
    for note in notes:
        party, _, name = note.key.removeprefix(seen_notices_prefix()).partition("/")
        if party not in standing:
            keys = store.list_keys(drift_prefix(party))
            standing[party] = frozenset(f"{sha256_hex(key.encode())}.json" for key in keys)
        if name not in standing[party]:
            yield note


def _over(store: ObjectStore, recipe: str, bound: float) -> Iterator[StoredObject]:
    """Retrainings of a recipe that are over, of which nobody waits for anything."""
    listed = list_objects(store, retrainings_prefix(recipe))
    newest_first = sorted(listed, key=lambda found: (len(found.key), found.key), reverse=True)
    began = False
    for place, found in enumerate(newest_first):
        request = read_from_party(store, found.key, RetrainingRequest, REQUEST_LIMIT)
        planned = request is not None and store.exists(plan_key(request.run))
        last_that_began, began = planned and not began, began or planned
        if place == 0 or last_that_began or found.age < bound:
            continue
        if request is None or not planned or _is_closed(store, request.run, bound):
            yield found


def _is_closed(store: ObjectStore, run: str, bound: float) -> bool:
    """Whether a run has been over for so long that nobody can approve its model any more."""
    closed = store.age(closed_key(run))
    deadline = _stated(store, plan_key(run), "recipe", "release", "approval_deadline")
    return closed is not None and closed >= bound + float(deadline or 0.0)


def _stated(store: ObjectStore, key: str, *path: str) -> str | float | None:
    """What a message says at a path, whatever version of fedcart wrote it; `None` when it says nothing."""
    data = store.read(key)
    try:
        found: Any = json.loads(data) if data else {}
        for name in path:
            found = found[name]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str | int | float) else None
