"""What the watch told last of each party's drift: its memory, without which it would tell at each look."""

from prefect.logging import get_run_logger

from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.drift import SeenNotice
from fedmodels.protocol.retraining import ToldNotice
from infra.layout import told_key
from infra.object_store import ObjectStore
from tasks.exchange import read_message


def last_told(store: ObjectStore, recipe: str, party: str) -> tuple[ToldNotice, float] | None:
    """The party's notice that was told last, and the seconds since then.

    A record of it that is damaged is removed: it kept nothing but an event from being emitted once more.
    """
    key = told_key(recipe, party)
    try:
        told = read_message(store, key, ToldNotice)
    except IntegrityError:
        get_run_logger().warning(
            "The record %s of what was told last is damaged: it is removed, and drift of %s at %s told again",
            key,
            recipe,
            party,
        )
        store.delete(key)
        return None
    return None if told is None else (told, store.age(key) or 0.0)


def remember(store: ObjectStore, recipe: str, seen: SeenNotice, stopped: str | None = None) -> None:
    """Put down that a notice was told now. One watch runs at a time; of two, either may be the last."""
    key = told_key(recipe, seen.party)
    data = canonical_json(ToldNotice(key=seen.key, drift=seen.drift, stopped=stopped))
    standing = store.read_version(key)
    if standing is None:
        store.create(key, data)
    else:
        store.swap(key, data, standing[1])
