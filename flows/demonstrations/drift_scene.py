"""A stack on which drift is let happen, and what its Prefect server and its bucket show of it.

Moments are those that the processes themselves noted: Prefect's for flow runs, the emitter's for the event.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fedmodels.errors import RunError
from fedmodels.recipe import Recipe
from flows.following import coordinator_store
from infra.deployments.declaration import TRAINING_FLOW
from infra.deployments.drift_automation import EVENT
from infra.deployments.looking import flow_run_ending
from infra.deployments.observing import SeenEvent, SeenRun, events_called, runs_of
from infra.deployments.services import RETRAINING_FLOW
from infra.layout import drift_prefix
from infra.object_store import ObjectStore
from infra.waiting import patient, wait_for
from tasks.release.reading import list_releases, read_champion
from tasks.retraining.standing import read_retrainings

Found = TypeVar("Found")
LOOK_SECONDS = 0.5


class Timeline:
    """Says each step with the seconds since the beginning, and keeps it."""

    def __init__(self, say: Callable[[float, str], None]) -> None:
        self._say = say
        self._began = time.time()
        self.steps: list[dict[str, Any]] = []

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return round(time.time() - self._began, 1)

    def step(self, words: str, at: float | None = None) -> None:
        """Note a step that is taken now, or was `at` a moment (seconds since 1970)."""
        seconds = self.seconds if at is None else round(at - self._began, 1)
        self.steps.append({"seconds": seconds, "what": words})
        self._say(seconds, words)


@dataclass(frozen=True)
class Scene:
    """A stack with a champion of a recipe, on whose server the schedules run."""

    home: Path
    recipe: Recipe
    server: str
    """The Prefect API."""

    @property
    def store(self) -> ObjectStore:
        """The bucket with the coordinator's credentials."""
        return coordinator_store(self.home)

    def champion(self) -> dict[str, Any]:
        """Release, run and model of the champion."""
        found = read_champion(self.store, self.recipe.name)
        return found.model_dump(mode="json", include={"release", "run", "model_sha256"}) if found else {}

    def notices(self, party: str) -> set[str]:
        """Keys of the party's notices."""
        return set(self.store.list_keys(f"{drift_prefix(party)}{self.recipe.name}/"))


def event_of(scene: Scene, notice: str, since: float) -> SeenEvent | None:
    """The event that tells of the notice."""
    events = events_called(EVENT, api_url=scene.server, since=since)
    return next((event for event in events if event.payload.get("notice") == notice), None)


def retraining_of(scene: Scene, notice: str, since: float) -> SeenRun | None:
    """The retraining that the event of the notice started."""
    runs = runs_of(RETRAINING_FLOW, api_url=scene.server, since=since)
    return next((run for run in runs if (run.parameters.get("reason") or {}).get("notice") == notice), None)


def run_asked_by(scene: Scene, retraining: SeenRun) -> str | None:
    """Id of the run that the retraining asked for.

    Raises:
        RunError: it ended without asking for one.
    """
    asked = read_retrainings(scene.store, scene.recipe.name, unfinished=frozenset()).of(retraining.id)
    if asked is not None:
        return asked.run
    if ending := flow_run_ending(retraining.id, api_url=scene.server):
        raise RunError(f"The retraining began no run: {ending[1].rstrip('.')}", code="demonstration-no-run")
    return None


def training_of(scene: Scene, run: str) -> SeenRun | None:
    """The flow run that trains a run."""
    return next(iter(runs_of(TRAINING_FLOW, tag=f"run:{run}", api_url=scene.server)), None)


def gate_of(scene: Scene, run: str) -> dict[str, Any]:
    """What the release gate said of a run's model; `not-reached` when no model came before it."""
    views = [view for view in list_releases(scene.store, scene.recipe.name) if view.request.run == run]
    report = views[-1].found.report if views and views[-1].found else None
    if report is None:
        return {"verdict": "not-reached", "checks": []}
    checks = [check.model_dump(mode="json") for check in report.checks]
    return {"verdict": "passed" if report.passed else "refused", "checks": checks}


def awaited(look: Callable[[], Found | None], timeout: float, what: str) -> Found:
    """What a look finds in time, which Prefect or the store may refuse meanwhile.

    Raises:
        RunError: `demonstration-slow`: nothing in time.
    """
    found = wait_for(patient(look), timeout=timeout, first_wait=0.2, longest_wait=LOOK_SECONDS)
    if found is None:
        raise RunError(
            f"There was no {what} within {timeout:.0f} s",
            fix="see the Prefect UI, and the logs that fedcart status names",
            code="demonstration-slow",
        )
    return found
