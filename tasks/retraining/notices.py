"""Drift notices as the coordinator reads them: each once, and as something that anybody may have put there.

No Prefect. What was made of a notice is noted below the coordinator's own prefix. That is the only memory, so
that a watch that is started again goes on where the last one ended.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from fedmodels.errors import IntegrityError, UpdateRefused
from fedmodels.identifiers import ID_PATTERN
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.drift import NOTICE_LIMIT, DriftNotice, SeenNotice, check_timely, open_notice
from fedmodels.protocol.retraining import ValidNotice
from infra.keys import verify
from infra.layout import drift_prefix, parties_prefix, seen_notice_key, seen_notices_prefix
from infra.leftovers import StoredObject, list_objects
from infra.object_store import ObjectStore
from tasks.exchange import create_message, read_bytes_from_party, read_message
from tasks.release.reading import read_released

MOST_NEW = 20
"""New notices of a party that one look judges: a party that floods the bucket holds up nobody's but its own.

However many of them are valid, they make one event for each recipe (`tasks/retraining/watching.py`).
"""
MOST_READ = 50
"""Notes of a party's notices of one recipe that count at a time, valid or refused."""
_PLACE = re.compile(rf"({ID_PATTERN[1:-1]})/([0-9a-f]{{64}})\.json")


@dataclass(frozen=True)
class Sighting:
    """A notice that nobody has noted yet, and what it is."""

    seen: SeenNotice
    notice: DriftNotice | None
    """`None` for one that is refused."""
    sentence: str = ""
    """Why it is refused."""


class Released:
    """Champion and longest age of a notice, by recipe; read once for each look.

    `damaged`: recipes of which either cannot be read, and why.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: dict[str, tuple[str | None, float]] = {}
        self.damaged: dict[str, IntegrityError] = {}

    def readable(self, recipe: str) -> bool:
        """Whether `of` has an answer."""
        if recipe not in self._known and recipe not in self.damaged:
            try:
                found = read_released(self._store, recipe)
            except IntegrityError as error:
                self.damaged[recipe] = error
            else:
                age = found[1].recipe.drift.max_notice_age if found else 0.0
                self._known[recipe] = (found[0].model_sha256 if found else None, age)
        return recipe in self._known

    def of(self, recipe: str) -> tuple[str | None, float]:
        """The champion's model, `None` before the first release, and seconds.

        Raises:
            IntegrityError: it cannot be read.
        """
        if not self.readable(recipe):
            raise self.damaged[recipe]
        return self._known[recipe]


def new_sightings(
    store: ObjectStore, party_keys: Mapping[str, str], released: Released
) -> Iterator[Sighting]:
    """Every notice that was not noted, party by party, judged but not noted yet.

    Args:
        store: the bucket with the coordinator's credentials.
        party_keys: party id to public key, base64. Others' notices are refused.
        released: what is known of the recipes; notices of one that is damaged are passed over, and are still
            new once it is repaired.
    """
    folders = {name for name in store.list_folders(parties_prefix()) if re.fullmatch(ID_PATTERN, name)}
    for party in sorted(folders | set(party_keys)):
        noted = {key.rpartition("/")[2] for key in store.list_keys(seen_notices_prefix(party))}
        unseen = (
            found
            for found in list_objects(store, drift_prefix(party))
            if f"{sha256_hex(found.key.encode())}.json" not in noted
            and ((place := _place(found.key, party)) is None or released.readable(place[0]))
        )
        for found in islice(unseen, MOST_NEW):
            if sighting := _look(store, found, party, party_keys.get(party), released):
                yield sighting


def note(store: ObjectStore, seen: SeenNotice) -> SeenNotice:
    """Note what was made of a notice; return the note that stands."""
    return create_message(store, seen_notice_key(seen.party, sha256_hex(seen.key.encode())), seen)


class Notes:
    """The coordinator's notes of all notices, as of one moment; each is read once.

    Of a party at most `MOST_READ` a recipe, its youngest: more than that in one span of `max_notice_age` say
    nothing new, and a party that floods the bucket pushes out none but its own of that recipe. A note does
    not say in its key which recipe it is of, and its notice does; those whose notices are gone count
    together.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        listed: dict[str, list[StoredObject]] = {}
        for found in list_objects(store, seen_notices_prefix()):
            party = found.key.removeprefix(seen_notices_prefix()).partition("/")[0]
            listed.setdefault(party, []).append(found)
        self._stored: dict[str | None, list[StoredObject]] = {}
        """By recipe; `None`: of notices that are gone."""
        for party, notes in listed.items():
            for recipe, ours in _by_recipe(store, party, notes).items():
                youngest = sorted(ours, key=lambda each: (each.age, each.key))[:MOST_READ]
                self._stored.setdefault(recipe, []).extend(youngest)
        self._seen: dict[str, SeenNotice | None] = {}
        self.damaged: dict[str, IntegrityError] = {}
        """By key, notes that cannot be read: they count for nothing, and hold up no other."""

    def valid(self, recipe: str, model_sha256: str, max_age: float) -> tuple[ValidNotice, ...]:
        """Valid notices about a model that are at most `max_age` seconds old."""
        found = []
        for stored in chain(self._stored.get(recipe, ()), self._stored.get(None, ())):
            if stored.age > max_age:
                continue
            seen = self._read(stored.key)
            if seen is None or not seen.valid or (seen.recipe, seen.model_sha256) != (recipe, model_sha256):
                continue
            age = seen.age + stored.age
            if age <= max_age:
                found.append(ValidNotice(seen, age))
        return tuple(found)

    def _read(self, key: str) -> SeenNotice | None:
        if key not in self._seen:
            try:
                self._seen[key] = read_message(self._store, key, SeenNotice)
            except IntegrityError:
                self._seen[key] = None
                self.damaged[key] = self._is_damaged(key)
        return self._seen[key]

    def _is_damaged(self, key: str) -> IntegrityError:
        """The error of a note, which says whose notice it is of as far as the notice still tells."""
        party, _, name = key.removeprefix(seen_notices_prefix()).partition("/")
        notices = self._store.list_keys(drift_prefix(party))
        noted = next((each for each in notices if f"{sha256_hex(each.encode())}.json" == name), None)
        place = _place(noted, party) if noted else None
        of_what = (
            f"of drift of {place[0]} at {party}" if place else f"of party {party}, which is there no more,"
        )
        return IntegrityError(
            f"The coordinator's note {key} on a notice {of_what} is damaged and counts for nothing",
            fix="remove that object, and the next watch judges the notice anew"
            if place
            else "remove that object, with which nothing is lost",
            code="drift-note-damaged",
        )


def _by_recipe(
    store: ObjectStore, party: str, notes: list[StoredObject]
) -> dict[str | None, list[StoredObject]]:
    """Notes of a party's notices by the recipe that each notice's own key states; `None` where it is gone."""
    places = ((key, _place(key, party)) for key in store.list_keys(drift_prefix(party)))
    recipes = {f"{sha256_hex(key.encode())}.json": place[0] for key, place in places if place}
    found: dict[str | None, list[StoredObject]] = {}
    for each in notes:
        found.setdefault(recipes.get(each.key.rpartition("/")[2]), []).append(each)
    return found


def look_again(store: ObjectStore, seen: SeenNotice, public: str | None) -> DriftNotice | None:
    """The notice that was found valid before; `None` when its party took it back, or it is valid no longer.

    Args:
        store: the bucket with the coordinator's credentials.
        seen: what was noted of it.
        public: the party's public key, base64.
    """
    envelope = read_bytes_from_party(store, seen.key, NOTICE_LIMIT)
    if envelope is None:
        return None
    try:
        return _open(envelope, seen.key, seen.party, public)
    except UpdateRefused:
        return None


def _look(
    store: ObjectStore, found: StoredObject, party: str, public: str | None, released: Released
) -> Sighting | None:
    envelope = read_bytes_from_party(store, found.key, NOTICE_LIMIT)
    if envelope is None:  # its party took it back
        return None
    try:
        notice = _open(envelope, found.key, party, public)
        check_timely(notice, found.age, *released.of(notice.recipe))
    except UpdateRefused as error:
        return Sighting(SeenNotice(key=found.key, party=party, code=error.code), None, str(error))
    seen = SeenNotice(
        key=found.key,
        party=party,
        recipe=notice.recipe,
        model_sha256=notice.model_sha256,
        drift=notice.drift,
        features=notice.features,
        new_labelled=notice.new_labelled,
        age=found.age,
    )
    return Sighting(seen, notice)


def _open(envelope: bytes, key: str, party: str, public: str | None) -> DriftNotice:
    """The notice that lies at `key`.

    Raises:
        UpdateRefused: as `open_notice`.
    """
    check: Callable[[bytes, str], bool] | None = partial(verify, public) if public else None
    return open_notice(envelope, party, _place(key, party) or ("", ""), check)


def _place(key: str, party: str) -> tuple[str, str] | None:
    """Recipe and hash, as a notice's key states them."""
    place = _PLACE.fullmatch(key.removeprefix(drift_prefix(party)))
    return (place[1], place[2]) if place else None
