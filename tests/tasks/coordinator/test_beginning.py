"""A run begins from an earlier run's model where it can, and its plan says so; else from the base model."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import InputError
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Plan, StartingModel
from infra.layout import model_key, plan_key, round_key
from infra.settings import load_role_settings
from tasks.coordinator import beginning
from tasks.coordinator.beginning import begun_from, start_of, starting_model
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import create_message
from tasks.models import model_file
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as home:
        made = FinishedRun(home, "earlier-1")
        made.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
        made.play(2, dict.fromkeys(PARTIES, 2), accuracy=0.4)
        made.close()
        yield made


@pytest.fixture
def run(played, monkeypatch):
    made = CoordinatorRun("later-1", load_role_settings(played.home, "coordinator"))
    made.said = []
    log = SimpleNamespace(warning=lambda *words: made.said.append(words[-1]))
    monkeypatch.setattr(beginning, "get_run_logger", lambda: log)
    return made


def start(played, **changes) -> StartingModel:
    model = played.records[0].model_sha256
    return StartingModel.model_validate({"run": played.run, "round": 1, "model_sha256": model, **changes})


def plan_of(played, **changes) -> Plan:
    return played.plan.model_copy(update={"run": "later-1", **changes})


def test_its_first_round_starts_from_that_model(run, played):
    plan = begun_from(run, plan_of(played), start(played))
    model = played.records[0].model_sha256
    assert (plan.base_model_sha256, plan.begins_from) == (model, start(played))
    assert model_file(run.models, model).exists()
    assert run.said == []
    create_message(run.store, plan_key("later-1"), plan)
    assert start_of(run, "later-1") == start(played), "a repetition begins there, too"
    assert start_of(run, None) is None


def test_without_one_the_plan_keeps_its_bytes(run, played):
    plan = plan_of(played)
    assert begun_from(run, plan, None) == plan
    assert b"begins_from" not in canonical_json(plan)


@pytest.mark.parametrize(
    ("named", "planned", "why"),
    [
        ({"run": "nobody"}, {}, "that run is gone"),
        ({"round": 2}, {}, "that round has left another model"),
        ({"model_sha256": "0" * 64}, {}, "that round has left another model"),
        ({}, {"labels": ("bad", "fine")}, "the recipe builds another model now"),
        ({}, {"architecture_sha256": "0" * 64}, "the recipe builds another model now"),
    ],
)
def test_what_does_not_fit_is_told_and_the_base_model_taken(run, played, named, planned, why):
    plan = plan_of(played, **planned)
    assert begun_from(run, plan, start(played, **named)) == plan
    assert len(run.said) == 1 and run.said[0].startswith(why)


def test_a_model_that_is_gone(run, played):
    key = model_key(played.records[0].model_sha256)
    data = run.store.read(key)
    run.store.delete(key)
    assert begun_from(run, plan_of(played), start(played)).begins_from is None
    run.store.put_blob(key, data)
    assert run.said == ["that model is gone"]


@pytest.mark.parametrize("place", ["record", "model"])
def test_what_is_damaged_keeps_nobody_waiting(run, played, place):
    model = played.records[0].model_sha256
    key = model_key(model) if place == "model" else round_key(played.run, 1, "record")
    data = run.store.read(key)
    run.store.put_blob(key, b"{}")
    model_file(run.models, model).unlink(missing_ok=True)
    assert begun_from(run, plan_of(played), start(played)).begins_from is None
    run.store.put_blob(key, data)
    assert len(run.said) == 1


def test_what_a_flow_run_is_given(played):
    assert starting_model(None) is None
    assert starting_model(start(played).model_dump(mode="json")) == start(played)
    with pytest.raises(InputError, match="does not name a run, a round"):
        starting_model({"run": "x"})
