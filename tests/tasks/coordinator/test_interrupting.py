"""A look for whoever closed or took a run over, at a store that does not answer."""

import socket

import pytest

from fedmodels.errors import StoreUnavailable
from fedmodels.protocol.progress import opening_head
from fedmodels.protocol.state import RunState
from infra.settings import Settings
from tasks.coordinator.interrupting import fold_interruption, interrupted
from tasks.coordinator.run import CoordinatorRun
from tests.fedmodels.protocol.builders import plan_for, recipe_for

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def run(tmp_path):
    """A run that is open, at a store that is gone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    settings = Settings(
        home=tmp_path, s3_endpoint=endpoint, s3_access_key_id="someone", s3_secret_access_key="something"
    )
    made = CoordinatorRun("gone-1", settings)
    plan = plan_for(recipe_for("ab")).model_copy(update={"run": "gone-1"})
    made.hold(RunState(plan=plan, head=opening_head("gone-1", plan.base_model_sha256)), "version")
    return made


def test_it_stops_nobody(run):
    before = run.state
    assert not interrupted(run)
    fold_interruption(run)
    assert run.state == before


def test_before_head_moves_it_must_be_answered(run):
    with pytest.raises(StoreUnavailable):
        interrupted(run, now=True)
