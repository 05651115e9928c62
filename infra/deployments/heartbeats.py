"""Flow runs that fell silent: an automation of the server's turns them into Crashed.

A worker says at once that a run of its died. When worker and run are killed together, nobody does, and the
run would stay Running for ever. Each run sends a heartbeat every `EVERY_S` seconds; when none came for
`SILENCE_S`, the server itself changes the run's state.

A run that is suspended or paused waits for a person and has no process, so none is expected to speak. When
it is resumed, its first heartbeat arms the automation again.

A server that was down for longer finds every living run silent, too, when it starts, and so does one whose
clock is not that of the run's machine: Prefect goes by when a heartbeat occurred. So such a state is believed
only when no more heartbeats arrive (`fell_silent`).
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

EVERY_S = 30
"""Prefect allows no less."""
SILENCE_S = 90
AUTOMATION = "fedcart-silent-runs"
MESSAGE = f"The run sent no heartbeat for {SILENCE_S} s, so its process and its worker are taken for dead"
HEARTBEAT = "prefect.flow-run.heartbeat"
SILENT_STATES = ("Completed", "Failed", "Crashed", "Cancelled", "Suspended", "Paused")
"""In which no heartbeat comes. Endings with names of our own are left out: what has ended cannot crash."""
LONG_PAST, FAR_FUTURE = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Around what any clock says; by default Prefect asks for what is past by the clock of who asks."""


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


@dataclass(frozen=True)
class Silence:
    """What this process saw of a run that the automation takes for dead, by its own stopwatch.

    Attributes:
        beats: heartbeats of the run that the server had.
        since: when the silence began (monotonic seconds).
        lasts: seconds after which it is believed.
    """

    beats: int
    since: float
    lasts: float

    def heard(self, beats: int, now: float) -> "Silence":
        """The silence after another look, at which the server had so many heartbeats.

        There may be fewer than before: the server forgets old ones.
        """
        return Silence(beats, now, SILENCE_S) if beats > self.beats else replace(self, beats=beats)

    def unheard(self, now: float) -> "Silence":
        """The silence after a look that the server did not answer: no heartbeat could arrive either."""
        return Silence(self.beats, now, SILENCE_S)

    def is_believed(self, now: float) -> bool:
        """Whether it has lasted."""
        return now - self.since >= self.lasts


_silences: dict[str, Silence] = {}
"""By the flow run's id: of those that the automation says crashed."""


def fell_silent(client: "SyncPrefectClient", flow_run_id: str) -> bool:
    """Whether a run that the automation says crashed is to be believed dead.

    Not before its next heartbeat would have come, from this process's first look on, and not while more
    come. They are counted: when they occurred says the clock of the run's machine, which may be wrong, as
    may that of this one.
    """
    now, beats = monotonic(), _count(client, flow_run_id)
    before = _silences.get(flow_run_id)
    silence = before.heard(beats, now) if before else Silence(beats, now, 1.5 * EVERY_S)
    _silences[flow_run_id] = silence
    return silence.is_believed(now)


def not_answered(flow_run_id: str) -> None:
    """A look at the run got no answer: its silence, if there is one, begins anew."""
    if flow_run_id in _silences:
        _silences[flow_run_id] = _silences[flow_run_id].unheard(monotonic())


def _count(client: "SyncPrefectClient", flow_run_id: str) -> int:
    """How many heartbeats of the run the server has, whatever they say of when they occurred."""
    from prefect.events.filters import (
        EventFilter,
        EventNameFilter,
        EventOccurredFilter,
        EventResourceFilter,
    )

    wanted = EventFilter(
        occurred=EventOccurredFilter(since=LONG_PAST, until=FAR_FUTURE),
        event=EventNameFilter(name=[HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"]),
    )
    return client.read_events(wanted, limit=1).total
