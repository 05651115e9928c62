"""What a training that a schedule began finds in a real store beside it."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import RunConflict
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.retraining import START_TIMEOUT, RetrainingRequest
from infra.layout import closed_key, plan_key, retraining_key
from tasks.coordinator import alone
from tasks.coordinator.alone import check_no_training, start_scheduled
from tasks.reading import read_plan


@pytest.fixture
def made(telling):
    """A recipe whose champion's run is over."""
    made = telling()
    close(made, made.run)
    return made


@pytest.fixture(autouse=True)
def waiting(monkeypatch):
    """Runs whose training has not ended, says Prefect."""
    runs = set()
    monkeypatch.setattr(alone, "unfinished_trainings", lambda _recipe: frozenset(runs))
    return runs


def close(made, run):
    closed = Closed(run=run, status="finished", model_sha256="0" * 64, rounds=1, final=None, seconds=1.0)
    made.store.create(closed_key(run), canonical_json(closed))


def plan(made, run):
    first = read_plan(made.store, made.run)
    made.store.create(plan_key(run), canonical_json(first.model_copy(update={"run": run})))


def ask(made):
    """Let a retraining take its number; return its run."""
    name = made.recipe.name
    run = f"{name}-again"
    request = RetrainingRequest(
        recipe=name,
        number=1,
        ticket="t",
        run=run,
        champion_sha256=made.model,
        parties=("shop-a",),
        reason="drift",
    )
    made.store.create(retraining_key(name, 1), canonical_json(request))
    return run


def nightly(made, run="nightly"):
    """What it is told of an open run; `None` when there is none."""
    try:
        check_no_training.fn(SimpleNamespace(store=made.store, run=run), made.recipe.name)
    except RunConflict as error:
        return error.code, str(error).split()[2]
    return None


def test_beside_runs_that_are_over_and_those_of_other_recipes_it_begins(made, telling):
    telling()  # another recipe, whose run is open
    assert nightly(made) is None


def test_an_open_run_that_nobody_conducts_is_a_fault_and_not_left_out(made, later):
    """After parties-missing or quorum-missed a run stays open; else no night would show red again."""
    plan(made, "last-night")
    later(3600)
    with pytest.raises(
        RunConflict, match=r"last-night of .* has been open for 36\d\d s .* --resume last-night"
    ) as caught:
        check_no_training.fn(SimpleNamespace(store=made.store, run="nightly"), made.recipe.name)
    assert caught.value.code == "training-stopped"


def test_it_is_left_out_beside_an_open_run_but_not_by_its_own(made, waiting):
    plan(made, "by-hand")
    waiting.add("by-hand")
    assert nightly(made) == ("training-open", "by-hand")
    assert nightly(made, run="by-hand") is None
    close(made, "by-hand")
    waiting.clear()
    assert nightly(made) is None


def test_it_is_left_out_beside_a_retraining_that_has_just_been_asked_for_or_still_waits(made, later, waiting):
    run = ask(made)
    assert nightly(made) == ("training-open", run)
    later(START_TIMEOUT + 10)
    assert nightly(made) is None, "it never began"
    waiting.add(run)
    assert nightly(made) == ("training-open", run), "its training waits for a free worker"


def test_it_is_left_out_beside_a_training_that_somebody_started_and_that_waits(made, waiting):
    waiting |= {"by-hand", made.run}
    assert nightly(made) == ("training-open", "by-hand")
    assert nightly(made, run="by-hand") is None


def test_it_is_started_once_with_its_recipe_and_parties(monkeypatch):
    started, known = [], []
    monkeypatch.setattr(alone, "find_training", lambda _run: known[0] if known else None)
    monkeypatch.setattr(alone, "start_training", lambda *given, **more: started.append((given, more)) or "id")
    run = SimpleNamespace(run="tiny-1")
    assert start_scheduled.fn(run, "tiny", ("a", "b")) == "id"
    assert started == [(("tiny", "tiny-1"), {"parties": ("a", "b"), "tags": ["scheduled"]})]
    known.append("earlier")
    assert start_scheduled.fn(run, "tiny", ("a", "b")) == "earlier"
    assert len(started) == 1
