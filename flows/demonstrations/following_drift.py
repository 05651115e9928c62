"""Rows arrive at a party, and what a Prefect server and a bucket show of what follows by itself.

Nothing here starts a check, a watch or a training. Moments are those that the processes themselves noted:
Prefect's for flow runs, the emitter's for the event, the party's own log line for its first optimiser step.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from fedmodels.errors import RunError
from fedmodels.words import counted
from flows.demonstrations.arrivals import Arrival, let_arrive
from flows.demonstrations.drift_scene import (
    Scene,
    Timeline,
    awaited,
    event_of,
    gate_of,
    retraining_of,
    run_asked_by,
    training_of,
)
from flows.following import look_until
from infra.deployments.declaration import COORDINATOR, SESSION_FLOW
from infra.deployments.drift_automation import EVENT
from infra.deployments.looking import flow_run_ending
from infra.deployments.observing import SeenRun, events_called, first_said, runs_of
from infra.deployments.services import DRIFT_FLOW, DRIFT_WATCH_FLOW, RETRAINING_FLOW, drift_check_name
from infra.waiting import patient, wait_for
from tasks.party.training import FIRST_STEP
from tasks.reading import RunView

Show = Callable[[RunView], None]
Watcher = Callable[[str], AbstractContextManager[Show]]
CHECK_TIMEOUT, EVENT_TIMEOUT, START_TIMEOUT, RELEASE_TIMEOUT = 240.0, 120.0, 120.0, 600.0
LOG_TIMEOUT = 30.0
"""Seconds in which a line that a process wrote comes to the server."""
NO_NOTICE, NO_STEP = "no notice was left", "no party's log says that its first optimiser step is done"
SPANS = (
    "arrival_to_check",
    "check",
    "arrival_to_event",
    "event_to_retraining",
    "event_to_run",
    "event_to_training",
    "event_to_decision",
)
"""Keys of `seconds`, in the order in which things happen; each is there, whatever happened."""


def play(scene: Scene, arrival: Arrival, timeline: Timeline, watch: Watcher) -> dict[str, Any]:
    """Let rows arrive and follow what comes of it: to a decided release, or until nothing evidently does.

    Returns:
        `drift`, `seconds` (durations between what happened, `None` for one that was not measured),
        `unmeasured` (why not), `run_id`, `retraining`, `gate`, `champion`.

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
    seconds: dict[str, float | None] = dict.fromkeys(SPANS)
    seconds |= {"arrival_to_check": check.began - arrived, "check": done - check.began}
    document: dict[str, Any] = {
        "drift": {"party": party, "detected": bool(notices), "rows": len(arrival.rows)},
        "seconds": seconds,
        "unmeasured": {},
        "run_id": None,
        "retraining": None,
        "gate": {"verdict": None, "checks": []},
    }
    if notices:
        _follow_notice(scene, notices.pop(), arrived, document, timeline, watch)
    else:
        document["drift"] |= {"features": [], "scores": []}
        document["unmeasured"] = {name: NO_NOTICE for name, value in seconds.items() if value is None}
        _see_that_nothing_follows(scene, done, arrived, timeline)
    after = scene.champion()
    same = "stays" if after == before else f"is now {after.get('model_sha256', '')[:12]}"
    timeline.step(f"the champion {same}")
    document["seconds"] = {
        name: None if value is None else round(value, 2) for name, value in seconds.items()
    }
    return document | {"champion": {"before": before, "after": after}}


def await_check(scene: Scene, party: str, since: float) -> SeenRun:
    """The first check that the party's schedule began since then and that compared rows, once it has ended.

    Raises:
        RunError: it failed, or none came.
    """

    deployment = drift_check_name(party, scene.recipe.name)

    def look() -> SeenRun | None:
        for run in runs_of(DRIFT_FLOW, deployment=deployment, since=since, api_url=scene.server):
            if run.failed:
                raise RunError(f"The drift check of {party} failed: {run.message}", code="drift-check-failed")
            if run.scheduled and run.ended and run.state == "Completed":
                return run
        return None

    return awaited(look, CHECK_TIMEOUT, f"scheduled drift check of {party} that compared rows")


def _see_that_nothing_follows(scene: Scene, since: float, arrived: float, timeline: Timeline) -> None:
    """Wait for a whole look of the scheduled watch, and see that no event came and no retraining began.

    Raises:
        RunError: one did, or the watch did not run.
    """

    def look() -> SeenRun | None:
        runs = runs_of(DRIFT_WATCH_FLOW, deployment=COORDINATOR, since=since, api_url=scene.server)
        return next((run for run in runs if run.scheduled and run.ended and run.state == "Completed"), None)

    seen = awaited(look, EVENT_TIMEOUT, "scheduled look for notices")
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
    event = awaited(lambda: event_of(scene, notice, arrived), EVENT_TIMEOUT, f"event {EVENT}")
    said = event.payload
    document["drift"] |= {name: said[name] for name in ("features", "scores", "rows")}
    timeline.step(f"the scheduled watch found the notice valid: event {EVENT}", event.occurred)
    for score in said["scores"]:
        timeline.step(
            f"  {score['feature']}: {score['measure']} {score['effect']:.3f}, above {score['bound']:g}",
            event.occurred,
        )
    retraining = awaited(lambda: retraining_of(scene, notice, arrived), START_TIMEOUT, "retraining")
    seconds |= {
        "arrival_to_event": event.occurred - arrived,
        "event_to_retraining": retraining.began - event.occurred,
    }
    timeline.step("the automation started the flow retraining", retraining.began)
    run = awaited(lambda: run_asked_by(scene, retraining), START_TIMEOUT, "run of the retraining")
    document["run_id"] = run
    training = awaited(lambda: training_of(scene, run), START_TIMEOUT, f"flow run of {run}")
    seconds["event_to_run"] = training.began - event.occurred
    timeline.step(f"the run {run} began", training.began)
    with watch(run) as show:
        seen = _Progress(scene, run, timeline, show)
        look_until(scene.home, run, training.id, seen, lambda state: state.closed is not None)
        first = seen.first_step or wait_for(seen.look_for_step, timeout=LOG_TIMEOUT)
    if first is None:
        document["unmeasured"]["event_to_training"] = NO_STEP
        timeline.step(NO_STEP)
    else:
        seconds["event_to_training"] = first - event.occurred
    timeline.step("the run is over; its model goes before the release gate")
    ending = awaited(
        lambda: flow_run_ending(retraining.id, api_url=scene.server), RELEASE_TIMEOUT, "end of the retraining"
    )
    seconds["event_to_decision"] = time.time() - event.occurred
    document["retraining"] = {"flow_run": retraining.id, "state": ending[0], "message": ending[1]}
    document["gate"] = gate_of(scene, run)
    _say_verdict(document["gate"], timeline)


def _say_verdict(gate: dict[str, Any], timeline: Timeline) -> None:
    """The verdict, and the sentence of the first check that failed."""
    failed = [check["sentence"] for check in gate["checks"] if check["verdict"] == "failed"]
    timeline.step(
        f"release gate: {gate['verdict']}" + (f" by {counted(len(failed), 'check')}" if failed else "")
    )
    for sentence in failed[:1]:
        timeline.step(f"  {sentence}")


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
