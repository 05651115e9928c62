"""A training that takes long ends because it is told to: counted in optimiser steps, not in seconds."""

import pytest

from fedmodels.classifier import build_classifier, parameter_specs
from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import TRAINING_CANCELLED, TrainingFailed
from fedmodels.recipe import LocalTraining, ModelConfig
from fedmodels.toy_model import write_toy_model
from fedmodels.workbench import Workbench
from infra.settings import load_role_settings
from tasks.cancelling import cancel_run
from tasks.models import adopt_model
from tasks.party import training
from tasks.party.session import PartySession
from tasks.party.training import train_local
from tests.store_alone import store_alone, store_of
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

LABELS = ("bad", "good")
ROWS = 100
LONG = LocalTraining(epochs=100, batch_size=1)
PLANNED_STEPS = ROWS * LONG.epochs
CANCELLED_AT, MOST_STEPS = 3, PLANNED_STEPS // 10


class Prepared:
    train = LabelledTexts(texts=("a text",) * ROWS, labels=LABELS * (ROWS // 2))


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as home:
        yield FinishedRun(home, "cancelled-1")


@pytest.fixture
def session(played, tmp_path):
    """A session that has joined, with a toy model and rows; its run would train for minutes."""
    made = PartySession(played.run, load_role_settings(played.home, PARTIES[0]))
    recipe = played.plan.recipe.model_copy(update={"local": LONG})
    made.plan, made.prepared = played.plan.model_copy(update={"recipe": recipe}), Prepared()
    folder = write_toy_model(tmp_path / "toy", hidden_size=4)
    model, tokenizer = build_classifier(folder, ModelConfig(max_length=8), LABELS, seed=1)
    made.workbench = Workbench(
        model, tokenizer, labels=LABELS, max_length=8, parameters=parameter_specs(model), cache=None
    )
    return made


def test_a_long_training_is_cancelled_after_a_few_of_its_steps(played, session, tmp_path, monkeypatch):
    """The run is closed in the store while it trains; nothing else would end it before its last step."""
    monkeypatch.setattr(training, "CLOSED_CHECK_SECONDS", 0.0)
    done = []

    def count(step, planned, _loss):
        assert planned == PLANNED_STEPS
        done.append(step)
        if step == CANCELLED_AT:
            cancel_run(store_of(played.home, "coordinator"), played.run, "a person said so")
        assert step < MOST_STEPS, "the training does not see that its run is closed"

    monkeypatch.setattr(training, "tell_first_step", lambda _round: count)
    start = tmp_path / "start.safetensors"
    announced = played.announce(1).model_copy(update={"model_sha256": session.workbench.write(start)})
    adopt_model(start, announced.model_sha256, session.models)
    with pytest.raises(TrainingFailed) as caught:
        train_local.fn(session, announced)
    assert caught.value.code == TRAINING_CANCELLED
    assert CANCELLED_AT <= len(done) < MOST_STEPS
    assert not (session.round_folder(1) / "trained.safetensors").exists(), "nothing half trained is kept"
