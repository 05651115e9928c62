"""Rows arrive at a party, and what a Prefect server and a bucket show of what follows by itself.

Nothing here starts a check, a watch or a training. Moments are those that the processes themselves noted:
Prefect's for flow runs, the emitter's for the event, the party's own log line for its first optimiser step.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fedmodels.errors import RunError
from fedmodels.protocol.retraining import RetrainingRequest
from fedmodels.recipe import Recipe
from fedmodels.words import counted
from flows.arrivals import Arrival, let_arrive
from flows.following import coordinator_store, look_until
from infra.deployments.declaration import COORDINATOR, SESSION_FLOW, TRAINING_FLOW
from infra.deployments.drift_automation import EVENT
from infra.deployments.observing import SeenEvent, SeenRun, events_called, first_said, runs_of
from infra.deployments.services import DRIFT_FLOW, DRIFT_WATCH_FLOW, RETRAINING_FLOW
from infra.deployments.starting import flow_run_ending
from infra.layout import drift_prefix, retrainings_prefix
from infra.object_store import ObjectStore
from infra.waiting import patient, wait_for
from tasks.exchange import read_message
from tasks.party.training import FIRST_STEP
from tasks.reading import RunView
from tasks.release.reading import list_releases, read_champion

Show = Callable[[RunView], None]
Watcher = Callable[[str], AbstractContextManager[Show]]
Found = TypeVar("Found")
CHECK_TIMEOUT, EVENT_TIMEOUT, START_TIMEOUT, RELEASE_TIMEOUT = 240.0, 120.0, 120.0, 600.0
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


def play(scene: Scene, arrival: Arrival, timeline: Timeline, watch: Watcher) -> dict[str, Any]:
    """Let rows arrive and follow what comes of it: to a decided release, or until nothing evidently does.

    Returns:
        `drift`, `seconds` (durations between what happened), `run_id`, `retraining`, `gate`, `champion`.

    Raises:
        RunError: what should follow did not in time, or a flow run failed.
    """
    party, before, known = arrival.party, scene.champion(), scene.notices(arrival.party)
    let_arrive(arrival, scene.recipe, scene.home)
    arrived = time.time()
    timeline.step(f"{arrival.words} arrive at {party}", arrived)
    check = await_check(scene, party, arrived)
    timeline.step(f"the scheduled check of {party} began", check.began)
    notices = scene.notices(party) - known
    done = check.ended or check.began
    timeline.step("it ended: " + ("a signed notice of drift" if notices else "no drift, and no notice"), done)
    seconds = {"arrival_to_check": check.began - arrived, "check": done - check.began}
    document: dict[str, Any] = {
        "drift": {"party": party, "detected": bool(notices), "rows": len(arrival.rows)},
        "seconds": seconds,
        "run_id": None,
        "retraining": None,
        "gate": {"verdict": None, "checks": []},
    }
    if notices:
        _follow_notice(scene, notices.pop(), arrived, document, timeline, watch)
    else:
        document["drift"] |= {"features": [], "scores": []}
        _see_that_nothing_follows(scene, done, arrived, timeline)
    after = scene.champion()
    same = "stays" if after == before else f"is now {after.get('model_sha256', '')[:12]}"
    timeline.step(f"the champion {same}")
    document["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    return document | {"champion": {"before": before, "after": after}}


def await_check(scene: Scene, party: str, since: float) -> SeenRun:
    """The first check that the party's schedule began since then and that compared rows, once it has ended.

    Raises:
        RunError: it failed, or none came.
    """

    def look() -> SeenRun | None:
        for run in runs_of(DRIFT_FLOW, deployment=party, since=since, api_url=scene.server):
            if run.failed:
                raise RunError(f"The drift check of {party} failed: {run.message}", code="drift-check-failed")
            if run.scheduled and run.ended and run.state == "Completed":
                return run
        return None

    return _awaited(look, CHECK_TIMEOUT, f"scheduled drift check of {party} that compared rows")


def _see_that_nothing_follows(scene: Scene, since: float, arrived: float, timeline: Timeline) -> None:
    """Wait for a whole look of the scheduled watch, and see that no event came and no retraining began.

    Raises:
        RunError: one did, or the watch did not run.
    """

    def look() -> SeenRun | None:
        runs = runs_of(DRIFT_WATCH_FLOW, deployment=COORDINATOR, since=since, api_url=scene.server)
        return next((run for run in runs if run.scheduled and run.ended and run.state == "Completed"), None)

    seen = _awaited(look, EVENT_TIMEOUT, "scheduled look for notices")
    timeline.step("the scheduled watch has looked and found nothing", seen.ended)
    events = events_called(EVENT, api_url=scene.server, since=arrived)
    runs = runs_of(RETRAINING_FLOW, api_url=scene.server, since=arrived)
    if events or runs:
        raise RunError(
            f"There was no notice, and yet {len(events)} events and {len(runs)} retrainings came",
            fix="see the Prefect UI",
            code="demonstration-unfounded",
        )
    timeline.step("no event, no retraining")


def _follow_notice(
    scene: Scene, notice: str, arrived: float, document: dict[str, Any], timeline: Timeline, watch: Watcher
) -> None:
    """From a notice in the bucket to a decided release; fills in the document."""
    seconds = document["seconds"]
    event = _awaited(lambda: _event_of(scene, notice, arrived), EVENT_TIMEOUT, f"event {EVENT}")
    said = event.payload
    document["drift"] |= {name: said[name] for name in ("features", "scores", "rows")}
    timeline.step(f"the scheduled watch found the notice valid: event {EVENT}", event.occurred)
    for score in said["scores"]:
        timeline.step(
            f"  {score['feature']}: {score['measure']} {score['effect']:.3f}, above {score['bound']:g}",
            event.occurred,
        )
    retraining = _awaited(lambda: _retraining_of(scene, notice, arrived), START_TIMEOUT, "retraining")
    seconds |= {
        "arrival_to_event": event.occurred - arrived,
        "event_to_retraining": retraining.began - event.occurred,
    }
    timeline.step("the automation started the flow retraining", retraining.began)
    run = _awaited(lambda: _run_asked_by(scene, retraining), START_TIMEOUT, "run of the retraining")
    document["run_id"] = run
    training = _awaited(lambda: _training_of(scene, run), START_TIMEOUT, f"flow run of {run}")
    seconds["event_to_run"] = training.began - event.occurred
    timeline.step(f"the run {run} began", training.began)
    with watch(run) as show:
        seen = _Progress(scene, run, timeline, show)
        look_until(scene.home, run, training.id, seen, lambda state: state.closed is not None)
        first = seen.first_step or seen.look_for_step()
    if first is not None:
        seconds["event_to_training"] = first - event.occurred
    timeline.step("the run is over; its model goes before the release gate")
    ending = _awaited(
        lambda: flow_run_ending(retraining.id, api_url=scene.server), RELEASE_TIMEOUT, "end of the retraining"
    )
    seconds["event_to_decision"] = time.time() - event.occurred
    document["retraining"] = {"flow_run": retraining.id, "state": ending[0], "message": ending[1]}
    document["gate"] = _gate(scene, run)
    _say_verdict(document["gate"], timeline)


def _say_verdict(gate: dict[str, Any], timeline: Timeline) -> None:
    """The verdict, and the sentence of the first check that failed."""
    failed = [check["sentence"] for check in gate["checks"] if check["verdict"] == "failed"]
    timeline.step(
        f"release gate: {gate['verdict']}" + (f" by {counted(len(failed), 'check')}" if failed else "")
    )
    for sentence in failed[:1]:
        timeline.step(f"  {sentence}")


def _event_of(scene: Scene, notice: str, since: float) -> SeenEvent | None:
    events = events_called(EVENT, api_url=scene.server, since=since)
    return next((event for event in events if event.payload.get("notice") == notice), None)


def _retraining_of(scene: Scene, notice: str, since: float) -> SeenRun | None:
    runs = runs_of(RETRAINING_FLOW, api_url=scene.server, since=since)
    return next((run for run in runs if (run.parameters.get("reason") or {}).get("notice") == notice), None)


def _run_asked_by(scene: Scene, retraining: SeenRun) -> str | None:
    """Id of the run that the retraining asked for.

    Raises:
        RunError: it ended without asking for one.
    """
    store = scene.store
    for key in store.list_keys(retrainings_prefix(scene.recipe.name)):
        request = read_message(store, key, RetrainingRequest)
        if request is not None and request.ticket == retraining.id:
            return request.run
    if ending := flow_run_ending(retraining.id, api_url=scene.server):
        raise RunError(f"The retraining began no run: {ending[1].rstrip('.')}", code="demonstration-no-run")
    return None


def _training_of(scene: Scene, run: str) -> SeenRun | None:
    return next(iter(runs_of(TRAINING_FLOW, tag=f"run:{run}", api_url=scene.server)), None)


def _gate(scene: Scene, run: str) -> dict[str, Any]:
    """What the release gate said of a run's model; `not-reached` when no model came before it."""
    views = [view for view in list_releases(scene.store, scene.recipe.name) if view.request.run == run]
    report = views[-1].found.report if views and views[-1].found else None
    if report is None:
        return {"verdict": "not-reached", "checks": []}
    checks = [check.model_dump(mode="json") for check in report.checks]
    return {"verdict": "passed" if report.passed else "refused", "checks": checks}


@dataclass
class _Progress:
    """Told where a run stands, it says when a round begins and when a party has done its first step."""

    scene: Scene
    run: str
    timeline: Timeline
    show: Show
    first_step: float | None = None
    said: set[int] = field(default_factory=set)

    def __call__(self, state: RunView) -> None:
        self.show(state)
        if state.cohort and state.round not in self.said:
            self.said.add(state.round)
            self.timeline.step(f"round {state.round}: {', '.join(state.cohort)} train")
        if self.first_step is None and state.cohort:
            self.look_for_step()

    def look_for_step(self) -> float | None:
        """When a party first said that its optimiser has made a step."""
        self.first_step = patient(self._first_said)()
        if self.first_step is not None:
            self.timeline.step("the first optimiser step is done", self.first_step)
        return self.first_step

    def _first_said(self) -> float | None:
        sessions = runs_of(SESSION_FLOW, tag=f"run:{self.run}", api_url=self.scene.server)
        return first_said([each.id for each in sessions], FIRST_STEP, api_url=self.scene.server)


def _awaited(look: Callable[[], Found | None], timeout: float, what: str) -> Found:
    found = wait_for(patient(look), timeout=timeout, first_wait=0.2, longest_wait=LOOK_SECONDS)
    if found is None:
        raise RunError(
            f"There was no {what} within {timeout:.0f} s",
            fix="see the Prefect UI, and the logs that fedcart status names",
            code="demonstration-slow",
        )
    return found
