"""Proposing a run's model for release on the deployments that are up, and waiting for what comes of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fedmodels.errors import RunError, StackError, read_coded
from fedmodels.protocol.messages import Closed
from flows.following import api_url, deploy_where_missing, require_worker, running_store
from infra.deployments.looking import flow_run_ending
from infra.deployments.services import declare_release
from infra.deployments.starting import start_release
from infra.layout import closed_key
from infra.waiting import wait_for
from tasks.exchange import read_message
from tasks.reading import read_plan
from tasks.release.reading import ReleaseView, list_releases

RELEASE_TIMEOUT = 3600.0
RELEASED = "Completed"
WAITING = ("Suspended", "Paused", "AwaitingApproval")
"""Names of states in which a release waits for a person."""


def propose_release(home: Path, run: str, reason: str) -> dict[str, Any]:
    """Start `model-release` for the run, and wait until it has ended, or waits for a person.

    The deployment is made where the server does not have it: `up` alone makes those of a training.

    Returns:
        `run`, `flow_run`, the `state`'s name, `recipe`, number of the `release` (`None` when it got none),
        and a `message` for people.

    Raises:
        InputError: there is no such run.
        StackError: the stack is down, or the check did not end within an hour.
    """
    store = running_store(home)
    recipe = read_plan(store, run).recipe.name
    require_worker(home)
    server = api_url(home)
    deploy_where_missing(declare_release(), server)
    flow_run = start_release(run, reason, api_url=server)
    found = wait_for(lambda: flow_run_ending(flow_run, api_url=server), timeout=RELEASE_TIMEOUT)
    if found is None:
        raise StackError(
            f"The release of run {run} did not end within {RELEASE_TIMEOUT:.0f} s",
            fix="see its flow run in the Prefect UI, and fedcart status",
            code="release-slow",
        )
    state, message = found
    closed = read_message(store, closed_key(run), Closed)
    view = release_of(list_releases(store, recipe), flow_run, closed.model_sha256 if closed else "")
    return {
        "run": run,
        "flow_run": flow_run,
        "state": state,
        "recipe": recipe,
        "release": view.request.release if view else None,
        "message": in_words(view, state, datetime.now(UTC)) if view and not message else message,
    }


def release_of(views: Sequence[ReleaseView], flow_run: str, model_sha256: str) -> ReleaseView | None:
    """The release that a flow run began or, where it found one, its model's: the champion or the latest.

    Args:
        views: all releases of the recipe, oldest first.
        flow_run: id of the flow run.
        model_sha256: the kept model of its run.
    """
    own = [view for view in views if view.request.ticket == flow_run]
    same = [view for view in views if view.request.model_sha256 == model_sha256]
    champion = [view for view in same if view.standing == "champion"]
    return next(iter([*own, *champion, *reversed(same)]), None)


def in_words(view: ReleaseView, state: str, now: datetime) -> str:
    """What became of a release whose flow run left no word itself: it is the champion, or waits for a person.

    Args:
        view: the release.
        state: name of its flow run's state.
        now: this machine's time; the deadline is counted from it.
    """
    request, found = view.request, view.found
    name = f"{request.release} of {request.recipe}"
    if state == RELEASED:
        model = request.model_sha256[:12]
        is_release = f"is release {request.release}: model {model} of run {request.run}"
        return f"The champion of {request.recipe} {is_release}."
    if found and state in WAITING:
        left = timedelta(seconds=found.report.approval_deadline - found.waited)
        command = f"fedcart release approve {request.recipe} {request.release}"
        return f"Release {name} waits for a person until {now + left:%Y-%m-%d %H:%M} UTC: {command}."
    return f"The check of release {name} ended as {state}."


def unreleased(said: dict[str, Any]) -> RunError | None:
    """Why a proposed model did not become the champion and will not; `None` when it did, or waits."""
    state, message = str(said["state"]), str(said["message"])
    if state == RELEASED or state in WAITING:
        return None
    if said["release"] is not None and state in ("Refused", "Rejected"):
        show = f"see fedcart release show {said['recipe']} {said['release']}"
        return RunError(message.rstrip("."), fix=show, code=f"release-{state.lower()}")
    if coded := read_coded(message):
        code, sentence = coded
        return RunError(sentence.rstrip("."), code=code)
    return RunError(
        f"The release of run {said['run']} ended as {state}: {message}".rstrip(".: "),
        fix=f"see its flow run release · {said['run']} in the Prefect UI",
        code="release-failed",
    )
