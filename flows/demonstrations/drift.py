"""From drift to a new champion on one machine: a release, data that shift, and what follows by itself.

The demonstration starts the first training, proposes its model, and lets rows arrive. From then on it only
looks: the schedules of the Prefect server start check and watch, its automation starts the retraining.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedmodels.errors import RunError
from fedmodels.identifiers import new_run_id
from fedmodels.recipe import Recipe
from flows.demonstrations.arrivals import arrival_of
from flows.demonstrations.drift_scene import Scene, Timeline
from flows.demonstrations.following_drift import Watcher, play
from flows.demonstrations.training import bring_up
from flows.deploying import deploy_all, whole_declaration
from flows.following import Request, api_url, begin, follow
from flows.proposing import propose_release
from infra.deployments.declaration import COORDINATOR, Declaration
from infra.deployments.services import DRIFT_FLOW, DRIFT_WATCH_FLOW, drift_check_name
from infra.local.stack import down
from infra.locations import downloads_folder
from infra.settings import Schedules

RECIPE, PARTY = "drift-demo", "music-shop"
OFF = Schedules(training="off", release="off", drift="off", drift_watch="off", housekeeping="off")
CHECK, WATCH = "* * * * * */30", "* * * * * 10-59/15"
"""Every 30 and 15 seconds (a sixth field, which Prefect takes); `fedcart deploy` has hours and minutes.

Not more often: a worker takes a run 10 seconds before it is due, and of two at once the later is cancelled.
"""


@dataclass(frozen=True)
class Wanted:
    """What a person asked for."""

    kind: str
    """What arrives: see `flows.demonstrations.arrivals.arrival_of`."""
    recipe: Recipe
    home: Path
    """Of a stack of its own: schedules this short are nothing for one that is used."""
    keep: bool = False
    bucket: str | None = None
    """Chosen by somebody. A database is not taken over: two servers, and these schedules, would share it."""


def demonstrate_drift(wanted: Wanted, say: Callable[[float, str], None], watch: Watcher) -> dict[str, Any]:
    """Show the whole way on a stack of its own, and stop everything that was started, whatever happens.

    Args:
        wanted: what arrives, and where.
        say: told (seconds since the beginning, words) of each step.
        watch: makes a context manager from a title, which gives the function that shows a run's progress.

    Returns:
        The document of `flows.demonstrations.following_drift.play`, with all steps, and with `seconds.total`.

    Raises:
        RunError: the first model was not released, or what should have followed did not in time.
    """
    home, recipe, timeline = wanted.home, wanted.recipe, Timeline(say)
    try:
        timeline.step("starting Prefect server, object store and workers, and preparing the data")
        start_afresh(home)
        bring_up(recipe, home, lambda _words: None, bucket=wanted.bucket)
        arrival = arrival_of(wanted.kind, recipe, PARTY, home)
        server = api_url(home)
        timeline.step(f"the stack is up; its Prefect UI is {server.removesuffix('/api')}")
        quiet = whole_declaration(recipe, recipe.name, home, OFF)
        deploy_all(quiet, server)
        release_first_model(home, recipe, timeline, watch)
        deploy_all(scheduled(quiet, PARTY, recipe.name, check=CHECK, watch=WATCH), server)
        timeline.step(f"scheduled: a look for drift at {PARTY} every 30 s, for notices every 15 s")
        document = play(Scene(home, recipe, server), arrival, timeline, watch)
    finally:
        if not wanted.keep:
            timeline.step("stopping what was started")
            down(home)
    document["seconds"]["total"] = timeline.seconds
    return {"demonstration": wanted.kind, **document, "steps": timeline.steps}


def scheduled(declaration: Declaration, party: str, recipe: str, *, check: str, watch: str) -> Declaration:
    """The same declaration, with schedules for one party's check of the recipe and for the watch."""
    schedules = {(DRIFT_FLOW, drift_check_name(party, recipe)): check, (DRIFT_WATCH_FLOW, COORDINATOR): watch}
    deployments = tuple(
        replace(each, schedule=schedules.get((each.flow, each.name), each.schedule))
        for each in declaration.deployments
    )
    return replace(declaration, deployments=deployments)


def start_afresh(home: Path) -> None:
    """An empty home, but for downloads, which it shares with the folder above it.

    What an earlier demonstration left, a stack that was kept up included, goes.
    """
    down(home)
    shutil.rmtree(home, ignore_errors=True)
    shared = downloads_folder(home.parent).absolute()
    shared.mkdir(parents=True, exist_ok=True)
    home.mkdir()
    downloads_folder(home).symlink_to(shared)


def release_first_model(home: Path, recipe: Recipe, timeline: Timeline, watch: Watcher) -> None:
    """Train, and have the model released.

    Raises:
        RunError: the run failed, or its model was refused.
    """
    request = Request(recipe, new_run_id(recipe.name, datetime.now(UTC)))
    timeline.step(f"training {request.run} at {', '.join(recipe.parties)}")
    with watch(request.run) as show:
        summary = follow(home, request.run, begin(request, home), show)
    accuracy = summary["final"]["accuracy"] if summary["final"] else float("nan")
    timeline.step(f"the run is {summary['status']}: accuracy {accuracy:.3f} on the coordinator's holdout")
    proposed = propose_release(home, request.run, "the first model")
    if proposed["state"] != "Completed":
        raise RunError(
            f"The first model was not released: {proposed['message'].rstrip('.')}",
            fix="see the flow run model-release in the Prefect UI",
            code="demonstration-unreleased",
        )
    timeline.step(f"its model {summary['model_sha256'][:12]} is released: the first champion")
