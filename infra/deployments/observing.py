"""What a Prefect server says of runs: what a schedule or an automation started, and what has not ended."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from infra.deployments.declaration import TRAINING_FLOW, training_called
from infra.deployments.services import RETRAINING_FLOW
from infra.deployments.starting import lasting_client, mapped

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

LONG_AGO = 0.0
MOST_EVENTS = 50
"""What the server gives at once; asked for more, as its client does by default, it refuses."""


@dataclass(frozen=True)
class SeenRun:
    """A flow run that has begun. Moments are seconds since 1970, by the clock of the machine that ran it."""

    id: str
    state: str
    """Name of its state, like `Completed` or `NotChecked`."""
    message: str
    began: float
    ended: float | None
    scheduled: bool
    """Whether its deployment's schedule made it."""
    parameters: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether it ended without having done what it was for."""
        return self.state in ("Failed", "Crashed", "TimedOut")


@dataclass(frozen=True)
class GoingRetraining:
    """A retraining that has not ended: it runs, waits for its turn, or, `suspended`, for a person."""

    id: str
    recipe: str
    suspended: bool


@dataclass(frozen=True)
class SeenEvent:
    """An event, and when it occurred (seconds since 1970)."""

    occurred: float
    payload: dict[str, Any]


def runs_of(
    flow: str, *, api_url: str, deployment: str | None = None, tag: str | None = None, since: float = LONG_AGO
) -> list[SeenRun]:
    """Runs of a flow that began at `since` or later, oldest first.

    Args:
        flow: its name.
        api_url: the Prefect API.
        deployment: of this deployment alone.
        tag: with this tag alone.
        since: seconds since 1970.

    Raises:
        PrefectAway: the server does not answer.
    """
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterStartTime,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    with mapped(f"runs of {flow}"):
        found = lasting_client(api_url).read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
            if deployment
            else None,
            flow_run_filter=FlowRunFilter(
                start_time=FlowRunFilterStartTime(after_=datetime.fromtimestamp(since, UTC)),
                tags=FlowRunFilterTags(all_=[tag]) if tag else None,
            ),
            sort=FlowRunSort.START_TIME_ASC,
        )
    return [_seen(run) for run in found if run.start_time]


def unfinished_trainings(recipe: str, *, api_url: str | None = None) -> frozenset[str]:
    """Runs of the recipe whose training has not ended: it runs, or waits for a free worker.

    Args:
        recipe: its name, which is a tag of every training.
        api_url: the Prefect API; that of the surrounding settings when not given.

    Raises:
        PrefectAway: the server does not answer.
    """
    found = _unfinished(TRAINING_FLOW, f"recipe:{recipe}", api_url)
    runs = (training_called(run.name) for run in found)
    return frozenset(run for run in runs if run is not None)


def unfinished_retrainings(*, api_url: str | None = None) -> tuple[GoingRetraining, ...]:
    """Retrainings that have not ended, of any recipe.

    Raises:
        PrefectAway: the server does not answer.
    """
    found = _unfinished(RETRAINING_FLOW, None, api_url)
    return tuple(
        GoingRetraining(
            str(run.id), str(run.parameters.get("recipe")), bool(run.state and run.state.is_paused())
        )
        for run in found
    )


def _unfinished(flow: str, tag: str | None, api_url: str | None) -> "list[FlowRun]":
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import TERMINAL_STATES, StateType

    going = [kind for kind in StateType if kind not in TERMINAL_STATES]
    with mapped(f"runs of {flow}"):
        return lasting_client(api_url).read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[tag]) if tag else None,
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=going)),
            ),
        )


def events_called(name: str, *, api_url: str, since: float) -> list[SeenEvent]:
    """Events of this name that occurred at `since` or later, oldest first.

    Raises:
        PrefectAway: the server does not answer.
    """
    from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventOrder

    wanted = EventFilter(
        event=EventNameFilter(name=[name]),
        occurred=EventOccurredFilter(since=datetime.fromtimestamp(since, UTC)),
        order=EventOrder.ASC,
    )
    with mapped(f"events {name}"):
        page = lasting_client(api_url).read_events(wanted, limit=MOST_EVENTS)
    return [SeenEvent(event.occurred.timestamp(), dict(event.payload)) for event in page.events]


def first_said(flow_runs: list[str], beginning: str, *, api_url: str) -> float | None:
    """When one of the flow runs first wrote a log line that begins so (seconds since 1970); `None` before.

    The moment is that of the process that wrote it.

    Raises:
        PrefectAway: the server does not answer.
    """
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import LogSort

    if not flow_runs:
        return None
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(each) for each in flow_runs]))
    with mapped("logs of flow runs"):
        lines = lasting_client(api_url).read_logs(wanted, sort=LogSort.TIMESTAMP_ASC)
    return next((line.timestamp.timestamp() for line in lines if line.message.startswith(beginning)), None)


def _seen(run: "FlowRun") -> SeenRun:
    state, began = run.state, run.start_time
    return SeenRun(
        id=str(run.id),
        state=(state.name or state.type.value) if state else "",
        message=(state.message or "") if state else "",
        began=began.timestamp() if began else LONG_AGO,
        ended=run.end_time.timestamp() if run.end_time and state and state.is_final() else None,
        scheduled=bool(run.auto_scheduled),
        parameters=dict(run.parameters),
    )
