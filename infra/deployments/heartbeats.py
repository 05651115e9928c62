"""Flow runs that fell silent: an automation of the server's turns them into Crashed.

A worker says at once that a run of its died. When worker and run are killed together, nobody does, and the
run would stay Running for ever. Each run sends a heartbeat every `EVERY_S` seconds; when none came for
`SILENCE_S`, the server itself changes the run's state.

A run that is suspended or paused waits for a person and has no process, so none is expected to speak. When
it is resumed, its first heartbeat arms the automation again.

A server that was down for longer finds every living run silent, too, when it starts. So such a state is
believed only when no heartbeat follows it (`fell_silent`).
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State
    from prefect.events.schemas.automations import AutomationCore

EVERY_S = 30
"""Prefect allows no less."""
SILENCE_S = 90
AUTOMATION = "fedcart-silent-runs"
MESSAGE = f"The run sent no heartbeat for {SILENCE_S} s, so its process and its worker are taken for dead"
HEARTBEAT = "prefect.flow-run.heartbeat"
SILENT_STATES = ("Completed", "Failed", "Crashed", "Cancelled", "Suspended", "Paused")
"""In which no heartbeat comes. Endings with names of our own are left out: what has ended cannot crash."""


def automation(silence: float = SILENCE_S) -> "AutomationCore":
    """For each flow run by itself: after a heartbeat, another one or a silent state in time, or Crashed.

    Args:
        silence: seconds without a heartbeat; Prefect takes no less than 10.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=AUTOMATION,
        description="Turns a run into Crashed when its process and its worker died together.",
        trigger=EventTrigger(
            after={HEARTBEAT},
            expect={HEARTBEAT, *(f"prefect.flow-run.{state}" for state in SILENT_STATES)},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silence),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=MESSAGE)],
    )


def fell_silent(client: "SyncPrefectClient", flow_run_id: str, state: "State[Any]") -> bool:
    """Whether a run that the automation says crashed is to be believed dead.

    Not before its next heartbeat would have come, and not when one came since.
    """
    from prefect.events.filters import (
        EventFilter,
        EventNameFilter,
        EventOccurredFilter,
        EventResourceFilter,
    )

    if datetime.now(UTC) - state.timestamp < timedelta(seconds=1.5 * EVERY_S):
        return False
    since = EventFilter(
        occurred=EventOccurredFilter(since=state.timestamp),
        event=EventNameFilter(name=[HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"]),
    )
    return not client.read_events(since, limit=1).events
