"""Starting the champion's recipe again, once, and waiting for its end by the bucket."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import RunError
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.retraining import RetrainingRequest
from infra.layout import closed_key, plan_key
from tasks.retraining import steps
from tasks.retraining.steps import await_training, start


@pytest.fixture
def begun(telling, monkeypatch):
    """A retraining that took its number, and what Prefect was asked for."""
    made = telling()
    name = made.recipe.name
    request = RetrainingRequest(
        recipe=name,
        number=1,
        ticket="t",
        run=f"{name}-again",
        champion_sha256=made.model,
        parties=("shop-a",),
        reason="drift",
    )
    asked = SimpleNamespace(started=[], known=None, outcome=None)

    def start_training(recipe, run, **facts):
        asked.started.append((recipe, run, facts))
        return "flow-run"

    monkeypatch.setattr(steps, "find_training", lambda _run: asked.known)
    monkeypatch.setattr(steps, "start_training", start_training)
    monkeypatch.setattr(steps, "flow_run_outcome", lambda _flow_run: asked.outcome)
    monkeypatch.setattr(steps, "FLOW_CHECK_SECONDS", 0.0)
    asked.desk = SimpleNamespace(store=made.store, recipe=name)
    asked.request, asked.made = request, made
    return asked


def close(begun):
    closed = Closed(
        run=begun.request.run, status="failed", model_sha256="0" * 64, rounds=1, final=None, seconds=1.0
    )
    begun.made.store.create(closed_key(begun.request.run), canonical_json(closed))
    return closed


def test_the_champions_recipe_is_started_with_its_parties_and_the_reason_in_tags(begun):
    assert start.fn(begun.desk, begun.request) == "flow-run"
    ((recipe, run, facts),) = begun.started
    assert (recipe["name"], run) == (begun.made.recipe.name, begun.request.run)
    assert facts["parties"] == ["shop-a", "shop-b"]
    assert facts["tags"] == ["retraining:1", "reason:drift", "drift:shop-a"]


def test_what_was_started_is_not_started_again(begun):
    begun.known = "earlier"
    assert start.fn(begun.desk, begun.request) == "earlier"
    begun.known = None
    begun.made.store.create(plan_key(begun.request.run), b"{}")
    assert start.fn(begun.desk, begun.request) is None
    assert begun.started == []


def test_the_bucket_says_when_it_is_over(begun):
    closed = close(begun)
    begun.outcome = "whatever Prefect says"
    assert await_training.fn(begun.desk, begun.request, None) == closed
    assert await_training.fn(begun.desk, begun.request, "flow-run") == closed


def test_a_coordinator_that_died_is_told(begun):
    begun.outcome = "parties-missing: only 1 of 2 joined"
    with pytest.raises(RunError, match=r"ended without closing it \(parties-missing") as caught:
        await_training.fn(begun.desk, begun.request, "flow-run")
    assert caught.value.code == "coordinator-died"


def test_what_was_closed_right_before_the_flow_run_ended_counts(begun, monkeypatch):
    def ended(_flow_run):
        close(begun)
        return "Completed"

    monkeypatch.setattr(steps, "flow_run_outcome", ended)
    assert await_training.fn(begun.desk, begun.request, "flow-run").status == "failed"
