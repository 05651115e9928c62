"""Which champion a candidate names: the one that stands when it is proposed, if there is one."""

import logging

import pytest

from fedmodels.protocol.messages import StandingChampion
from fedmodels.protocol.releases import Champion
from infra.layout import champion_key, round_key
from tasks.coordinator import champion as champions
from tasks.coordinator.champion import standing_champion
from tasks.coordinator.tuning import Tuned, propose
from tasks.exchange import read_message
from tests.tasks.release.released_models import released
from tests.tasks.verifying.finished_run import scores


@pytest.fixture
def recipe(run, played, monkeypatch) -> str:
    """A recipe of its own, since the store is every test's."""
    name = f"recipe-of-{run.run}"
    own = run.plan.recipe.model_copy(update={"name": name})
    monkeypatch.setattr(type(run), "plan", run.plan.model_copy(update={"recipe": own}))
    monkeypatch.setattr(champions, "get_run_logger", lambda: logging.getLogger("run"))
    return name


def propose_base(run, **changes):
    """Propose the base model, which is in the store, as if it had been trained."""
    sha256 = run.plan.base_model_sha256
    facts = {"file": "gone", "sha256": sha256, "aggregate_sha256": sha256, "metrics": scores(0.7)}
    return propose.fn(run, 1, Tuned(**{**facts, "fine_tuning": None, **changes}))


def test_before_the_first_release_there_is_none(run, recipe):
    assert standing_champion(run) is None
    assert propose_base(run).champion is None
    assert b"champion" not in run.store.read(round_key(run.run, 1, "candidate"))


def test_a_candidate_names_the_champion_that_stands(run, recipe):
    released(run.store, recipe, "first", "second")
    found = propose_base(run).champion
    assert isinstance(found, StandingChampion)
    assert found.run == "second"
    assert read_message(run.store, champion_key(recipe), Champion).model_sha256 == found.model_sha256


def test_where_nobody_is_asked_for_scores_none_is_named(run, recipe):
    released(run.store, recipe, "first")
    assert propose_base(run, metrics=None).champion is None


def test_a_champion_that_cannot_be_read_fails_no_round(run, recipe, caplog):
    run.store.put_blob(champion_key(recipe), b"{}")
    assert propose_base(run).champion is None
    assert "No champion is scored beside the candidate" in caplog.text
