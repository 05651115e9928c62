"""Watching for drift as Prefect tasks: a valid notice becomes an event, a refused one a line of the log.

A notice is noted first and told afterwards, so that whoever answers the event finds the note. An event can
be lost: the watch may be killed before it, or before Prefect's client has sent what it queued, and the
automation may fail. So a retraining in the bucket alone answers a notice, and until then it is told again.
"""

from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.events import emit_event
from prefect.logging import get_run_logger

from fedmodels.drift_section import DriftSection
from fedmodels.errors import IntegrityError, PrefectAway, RunConflict
from fedmodels.protocol.drift import DriftNotice, SeenNotice
from fedmodels.protocol.retraining import (
    DRIFT_STOPPED,
    Facts,
    PrivacyBudget,
    check_retraining,
    to_tell,
)
from infra.deployments.drift_automation import EVENT, recipe_resource
from infra.deployments.observing import unfinished_retrainings, unfinished_trainings
from infra.deployments.starting import server_answers
from infra.keys import PrivateKey, role_key
from infra.object_store import ObjectStore
from infra.settings import Settings
from infra.stores import store_from_settings
from tasks.policy import STORE
from tasks.release.reading import read_released, released_recipes
from tasks.retraining.asking import NO_BUDGET, gather, heard
from tasks.retraining.notices import Notes, Released, look_again, new_sightings, note
from tasks.retraining.showing import show_held_up
from tasks.retraining.standing import read_retrainings
from tasks.retraining.told import last_told, remember
from tasks.retraining.under_way import retraining_under_way


class WatchDesk:
    """The coordinator's store, the keys of the parties that it knows, and the privacy budget's word."""

    budget: PrivacyBudget = NO_BUDGET

    def __init__(self, settings: Settings) -> None:
        self.store: ObjectStore = store_from_settings(settings)
        self.party_keys = dict(settings.party_keys)
        self.signing_key: PrivateKey = role_key(settings.signing_key, settings.role)


@task(task_run_name="note_notices", **STORE)
def note_notices(desk: WatchDesk) -> tuple[SeenNotice, ...]:
    """Judge every notice that is new, and note what it is.

    Raises:
        IntegrityError: champion or plan of a recipe cannot be read. Notices of it are left for later; all
            others are noted first.
    """
    log, noted = get_run_logger(), []
    released = Released(desk.store)
    for sighting in new_sightings(desk.store, desk.party_keys, released):
        seen = note(desk.store, sighting.seen)
        if sighting.notice is None:
            log.warning("A drift notice is refused with %s: %s", seen.code, sighting.sentence)
        else:
            log.info("Party %s tells of drift of %s: %s", seen.party, seen.recipe, ", ".join(seen.features))
        noted.append(seen)
    if released.damaged:
        raise next(iter(released.damaged.values()))
    return tuple(noted)


@dataclass(frozen=True)
class Told:
    """What a look told."""

    notices: tuple[SeenNotice, ...] = ()
    held_up: tuple[RunConflict, ...] = ()
    """By recipe at most one: drift of it waits for a run that nobody conducts."""


@task(task_run_name="tell_of_drift", **STORE)
def tell_of_drift(desk: WatchDesk) -> Told:
    """Emit an event for each party and recipe of which there is something to tell.

    What was told is remembered after the event: a watch that dies in between tells it again, and the second
    retraining finds the first one.

    Raises:
        PrefectAway: the server takes no events now; what was not told is told later.
        IntegrityError: what the coordinator wrote of a recipe is damaged, or of another version of fedcart;
            of the others it is told first, and the log names each.
    """
    notes, told, held = Notes(desk.store), [], []
    damaged: list[IntegrityError] = []
    for recipe in released_recipes(desk.store):
        try:
            found = due(desk, recipe, notes)
        except IntegrityError as error:
            damaged.append(error)
            continue
        show_held_up(recipe, found.stopped, found.parties)
        told += [seen for seen in found.notices if tell_once(desk, recipe, seen, found.stopped)]
        if found.held_up:
            held.append(found.held_up)
    damaged += notes.damaged.values()
    for each in damaged:
        get_run_logger().warning("%s: %s", each.code, each)
    if damaged:
        raise damaged[0]
    return Told(tuple(told), tuple(held))


def tell_once(desk: WatchDesk, recipe: str, seen: SeenNotice, stopped: str | None) -> bool:
    """Tell of a notice that its party did not take back, and remember it; whether it was told."""
    notice = look_again(desk.store, seen, desk.party_keys.get(seen.party))
    if notice is None:
        get_run_logger().warning(
            "Party %s took back its drift notice of %s: it is not told", seen.party, recipe
        )
    else:
        tell(notice, seen.key)
    remember(desk.store, recipe, seen, stopped)
    return notice is not None


@dataclass(frozen=True)
class Due:
    """What there is to do about a recipe's notices."""

    notices: tuple[SeenNotice, ...] = ()
    """To be told now."""
    held_up: RunConflict | None = None
    stopped: str | None = None
    """The run that holds them up: it is open, and nobody conducts it."""
    parties: tuple[str, ...] = ()
    """Whose drift it is."""


def due(desk: WatchDesk, recipe: str, notes: Notes) -> Due:
    """Notices about the recipe's champion that are to be told now: see `to_tell`.

    None while a retraining of it is under way: what remains is told afterwards.

    Raises:
        PrefectAway: the server does not say which trainings wait there.
    """
    store = desk.store
    released = read_released(store, recipe)
    if released is None:  # models of it were proposed, and none was released
        return Due()
    champion, plan = released
    valid = heard(notes, plan, champion)
    if not valid:
        return Due()
    # One more would wait for its turn, and find this one.
    if retraining_under_way(store, recipe, unfinished_retrainings()):
        return Due()
    unfinished = unfinished_trainings(recipe)
    known = read_retrainings(store, recipe, unfinished)
    unanswered = [notice for notice in valid if not known.answer(notice.seen)]
    if not (unanswered or known.unclosed):  # only then the runs have to be read
        return Due()
    told = {
        party: found
        for party in sorted({notice.seen.party for notice in unanswered})
        if (found := last_told(store, recipe, party)) is not None
    }
    facts = gather(store, plan, valid, known, unfinished, desk.budget)
    forbidden = why_not(plan.recipe.drift, facts)
    waits = facts.stopped if forbidden and forbidden.code == DRIFT_STOPPED else None
    stopped = waits.run if waits else None
    chosen = to_tell(unanswered, told, allowed=forbidden is None, stopped=stopped)
    return Due(chosen, forbidden if waits else None, stopped, tuple(sorted(facts.noticed)))


def why_not(section: DriftSection, facts: Facts) -> RunConflict | None:
    """The rule that keeps a retraining from beginning now."""
    try:
        check_retraining(section, facts)
    except RunConflict as error:
        return error
    return None


def tell(notice: DriftNotice, key: str) -> None:
    """Emit the event of a valid notice, under an id of its own each time: Prefect drops one that it knows.

    Raises:
        PrefectAway: the server does not answer, or this process sends no events.
    """
    emitted = server_answers() and emit_event(
        event=EVENT,
        resource={
            "prefect.resource.id": recipe_resource(notice.recipe),
            "prefect.resource.name": notice.recipe,
        },
        related=[{"prefect.resource.id": f"fedcart.party.{notice.party}", "prefect.resource.role": "party"}],
        payload=event_payload(notice, key),
    )
    if not emitted:
        raise PrefectAway(
            f"The Prefect server did not take the event of a drift notice of party {notice.party}",
            fix="see fedcart status; the notice is told again",
        )


def event_payload(notice: DriftNotice, key: str) -> dict[str, Any]:
    """What the event says: names, effects and bounds."""
    return {
        "recipe": notice.recipe,
        "party": notice.party,
        "features": list(notice.features),
        "scores": [score.model_dump() for score in notice.scores],
        "rows": notice.rows,
        "model_sha256": notice.model_sha256,
        "notice": key,
    }
