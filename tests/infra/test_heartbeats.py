"""Whether a run that Prefect takes for dead is believed dead, whatever the clocks of the machines say."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.events import EventPage
from prefect.client.schemas.objects import StateType
from prefect.events.filters import EventFilter
from prefect.events.schemas.events import ReceivedEvent, Resource
from prefect.states import State

from infra.deployments import heartbeats, looking
from infra.deployments.heartbeats import EVERY_S, HEARTBEAT, MESSAGE, SILENCE_S
from infra.deployments.looking import flow_run_state

HOURS_OFF = (-1, 0, 1)


class World:
    """A server with one run that its automation says crashed, and the clocks of three machines."""

    def __init__(self, server: int, machine: int) -> None:
        self.run = uuid4()
        self.stopwatch = 0.0
        """That of the machine that looks. Its clock says what this test's does."""
        self.server, self.machine = timedelta(hours=server), timedelta(hours=machine)
        self.events: list[ReceivedEvent] = []
        self.answers = True
        self.beat()
        self.state = State(type=StateType.CRASHED, message=MESSAGE, timestamp=datetime.now(UTC) + self.server)

    def beat(self) -> None:
        self.events.append(
            ReceivedEvent(
                occurred=datetime.now(UTC) + timedelta(seconds=self.stopwatch) + self.machine,
                received=datetime.now(UTC) + timedelta(seconds=self.stopwatch) + self.server,
                event=HEARTBEAT,
                resource=Resource({"prefect.resource.id": f"prefect.flow-run.{self.run}"}),
                id=uuid4(),
            )
        )

    def read_flow_run(self, run: UUID) -> SimpleNamespace:
        if not self.answers:
            raise httpx.ConnectError("away")
        assert run == self.run
        return SimpleNamespace(state=self.state)

    def read_events(self, wanted: EventFilter, limit: int) -> EventPage:
        found = [event for event in self.events if wanted.includes(event)]
        return EventPage(events=found[:limit], total=len(found), next_page=None)

    def seen_after(self, seconds: float) -> str | None:
        """How the run stands for this process, so much later."""
        self.stopwatch += seconds
        return flow_run_state(str(self.run))


@pytest.fixture(params=[(server, machine) for server in HOURS_OFF for machine in HOURS_OFF])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(*request.param)

    @contextmanager
    def look(_api_url: str | None) -> Iterator[World]:
        yield made

    monkeypatch.setattr(looking, "short_look", look)
    monkeypatch.setattr(heartbeats, "monotonic", lambda: made.stopwatch)
    return made


def test_a_dead_run_is_believed_dead_once_its_next_heartbeat_did_not_come(world: World):
    """Also one whose last heartbeat seems to follow its death, since its machine's clock was ahead."""
    assert world.seen_after(0) == "RUNNING"
    assert world.seen_after(EVERY_S) == "RUNNING"
    assert world.seen_after(EVERY_S) == "CRASHED"
    assert world.seen_after(3600) == "CRASHED"


def test_a_living_run_stays_one(world: World):
    assert world.seen_after(0) == "RUNNING"
    for _ in range(10):
        world.beat()
        assert world.seen_after(EVERY_S) == "RUNNING"


def test_a_run_that_lived_on_and_then_died_is_believed_dead(world: World):
    assert world.seen_after(0) == "RUNNING"
    world.beat()
    assert world.seen_after(EVERY_S) == "RUNNING"
    assert world.seen_after(SILENCE_S - 1) == "RUNNING", "one heartbeat may be lost"
    assert world.seen_after(2) == "CRASHED"


def test_while_the_server_is_away_nobody_grows_silent(world: World):
    assert world.seen_after(0) == "RUNNING"
    world.answers = False
    for _ in range(10):
        assert world.seen_after(EVERY_S) is None
    world.answers = True
    assert world.seen_after(EVERY_S) == "RUNNING"
    assert world.seen_after(SILENCE_S) == "CRASHED"


def test_heartbeats_that_the_server_forgot_are_no_sign_of_life(world: World):
    world.beat()
    assert world.seen_after(0) == "RUNNING"
    del world.events[0]
    assert world.seen_after(2 * EVERY_S) == "CRASHED"
    world.beat()
    assert world.seen_after(1) == "RUNNING"
