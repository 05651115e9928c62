"""When a form was filled in: from the states that the Prefect server noted of a flow run."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound

from fedmodels.errors import PrefectAway
from infra.deployments import answered
from infra.deployments.answered import resume_answered, seconds_left

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "approval-7"


def state(kind: StateType, seconds: float, **details: object) -> State:
    return State(
        type=kind, timestamp=BEGIN + timedelta(seconds=seconds), state_details=StateDetails(**details)
    )


def suspended(seconds: float, timeout: float = 600.0, key: str = KEY) -> State:
    deadline = BEGIN + timedelta(seconds=seconds + timeout)
    return state(StateType.PAUSED, seconds, pause_key=key, pause_timeout=deadline, pause_reschedule=True)


RUNNING = state(StateType.RUNNING, 0)


@pytest.fixture
def noted(monkeypatch):
    """The server's notes of the flow run, in any order."""
    states: list[State] = []

    class Client:
        def read_flow_run_states(self, _flow_run):
            return list(states)

    monkeypatch.setattr(answered, "lasting_client", lambda _url: Client())
    return states


@pytest.mark.parametrize("began_again", [112.0, 9000.0])
def test_it_is_the_moment_of_the_form_and_not_that_of_the_worker(noted, began_again):
    noted += [
        state(StateType.RUNNING, began_again),
        state(StateType.SCHEDULED, 110),
        RUNNING,
        suspended(10),
    ]
    assert seconds_left(str(uuid4()), KEY) == pytest.approx(500.0)


@pytest.mark.parametrize(
    "states",
    [
        [],
        [RUNNING],
        [RUNNING, suspended(10)],
        [RUNNING, suspended(10), state(StateType.FAILED, 611)],
        [RUNNING, suspended(10), state(StateType.CANCELLING, 20)],
        [RUNNING, suspended(10, key="approval-6"), state(StateType.SCHEDULED, 20)],
    ],
    ids=["unknown", "running", "suspended", "expired", "cancelled", "another form"],
)
def test_without_a_form_there_is_no_moment(noted, states):
    noted += states
    assert seconds_left(str(uuid4()), KEY) is None


def test_a_ticket_that_is_no_flow_run_was_never_suspended(noted):
    noted += [RUNNING, suspended(10), state(StateType.SCHEDULED, 110)]
    assert seconds_left("a person", KEY) is None


def test_a_server_that_is_away_is_not_taken_for_a_missing_answer(monkeypatch):
    def away(_url):
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(answered, "lasting_client", away)
    with pytest.raises(PrefectAway):
        seconds_left(str(uuid4()), KEY)


FORM = {"decision": "approve", "by": "ann", "comment": ""}


@pytest.fixture
def waiting(monkeypatch):
    """A server with one flow run; notes what it was resumed with."""
    noted = SimpleNamespace(state=suspended(0), status=SetStateStatus.ACCEPT, resumed=[])

    class Client:
        def read_flow_run(self, _flow_run):
            if noted.state is None:
                raise ObjectNotFound(Exception("404"))
            return SimpleNamespace(state=noted.state)

        def resume_flow_run(self, flow_run, run_input):
            noted.resumed.append((flow_run, run_input))
            return SimpleNamespace(status=noted.status)

    monkeypatch.setattr(answered, "lasting_client", lambda _url: Client())
    return noted


def test_a_flow_run_that_waits_for_the_form_goes_on_with_the_word(waiting):
    flow_run = uuid4()
    assert resume_answered(str(flow_run), KEY, FORM)
    assert waiting.resumed == [(flow_run, FORM)]
    waiting.status = SetStateStatus.ABORT
    assert not resume_answered(str(flow_run), KEY, FORM), "somebody filled in its form just before"


@pytest.mark.parametrize("standing", [RUNNING, suspended(0, key="approval-8"), None])
def test_what_waits_for_nothing_or_something_else_is_left_alone(waiting, standing):
    waiting.state = standing
    assert not resume_answered(str(uuid4()), KEY, FORM)
    assert not resume_answered("by-hand", KEY, FORM)
    assert waiting.resumed == []
