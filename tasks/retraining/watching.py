"""Watching for drift as Prefect tasks: a valid notice becomes an event, a refused one a line of the log."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prefect import task
from prefect.events import emit_event
from prefect.logging import get_run_logger

from fedmodels.errors import PrefectAway
from fedmodels.protocol.drift import DriftNotice, SeenNotice
from infra.deployments.drift_automation import EVENT, recipe_resource
from infra.deployments.starting import server_answers
from infra.object_store import ObjectStore
from infra.settings import Settings
from infra.stores import store_from_settings
from tasks.policy import STORE
from tasks.retraining.notices import new_sightings, note


class WatchDesk:
    """The coordinator's store, and the keys of the parties that it knows."""

    def __init__(self, settings: Settings) -> None:
        self.store: ObjectStore = store_from_settings(settings)
        self.party_keys = dict(settings.party_keys)


@task(task_run_name="look_for_notices", **STORE)
def look_for_notices(desk: WatchDesk) -> tuple[SeenNotice, ...]:
    """Judge every notice that is new; emit the event of each valid one, then note it.

    In that order: a watch that dies in between emits the event again, under the same id, and whoever answers
    it holds it against the bucket.

    Raises:
        PrefectAway: the server takes no events now; what was not noted is looked at again.
    """
    log, noted = get_run_logger(), []
    for sighting in new_sightings(desk.store, desk.party_keys):
        seen = sighting.seen
        if sighting.notice is None:
            log.warning("A drift notice is refused with %s: %s", seen.code, sighting.sentence)
        else:
            tell(sighting.notice, seen.key)
            log.info("Party %s tells of drift of %s: %s", seen.party, seen.recipe, ", ".join(seen.features))
        noted.append(note(desk.store, seen))
    return tuple(noted)


def tell(notice: DriftNotice, key: str) -> None:
    """Emit the event of a valid notice.

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
        id=uuid5(NAMESPACE_URL, key),
    )
    if not emitted:
        raise PrefectAway(
            f"The Prefect server did not take the event of a drift notice of party {notice.party}",
            fix="see fedcart status; the notice is looked at again",
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
