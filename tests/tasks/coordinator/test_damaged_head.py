"""HEAD that is damaged where it stands while a coordinator conducts the run."""

import pytest

from fedmodels.errors import read_coded
from flows import federated_training
from infra.layout import head_key
from infra.lookout import Lookout
from infra.settings import load_role_settings
from tasks.coordinator.collecting import collect_update
from tasks.coordinator.interrupting import fold_interruption
from tasks.coordinator.opening import move_head, resume_run
from tasks.coordinator.run import CoordinatorRun
from tests.tasks.rotting import rot


def interrupted_between_steps(run, announcement):
    fold_interruption(run)


def collecting(run, announcement):
    collect_update.fn(run, announcement, "shop-a")


def moving_head(run, announcement):
    move_head.fn(run, run.head)


@pytest.mark.parametrize("doing", [interrupted_between_steps, collecting, moving_head])
def test_a_head_that_rots_under_a_coordinator_ends_it_in_one_sentence(played, run, monkeypatch, doing):
    """And the run goes on from there, with nothing lost, once HEAD is what it was."""
    announcement, key = played.announce(1), head_key(played.run)
    run.fold(announcement)
    whole = played.store.read(key)
    rot(played.store, key)
    run.interruption.lookout = Lookout(0.0)  # a look is due at once
    state = ended(monkeypatch, run, lambda *_arguments, **_flags: doing(run, announcement))
    assert state.is_failed()
    code, sentence = read_coded(state.message)
    assert code == "object-damaged"
    assert sentence.startswith(f"The object {key} is damaged in the store: ")
    assert f"fedcart runs verify {played.run}, restore it from a backup, and resume the run" in sentence
    assert "Traceback" not in state.message and "\n" not in state.message
    played.store.put_blob(key, whole)
    resumed = CoordinatorRun(played.run, load_role_settings(played.home, "coordinator"))
    assert resume_run.fn(resumed) == 0
    assert resumed.state.announcement == announcement
    assert resumed.head.epoch == run.head.epoch + 1


def ended(monkeypatch, run, conduct):
    """The state in which the coordinator's flow run ends that does this."""
    settings = load_role_settings(run.home, "coordinator")
    monkeypatch.setattr(federated_training, "load_settings", lambda: settings)
    monkeypatch.setattr(federated_training, "CoordinatorRun", lambda *_arguments: run)
    monkeypatch.setattr(federated_training, "conduct", conduct)
    monkeypatch.setattr(federated_training, "silence_tracebacks", lambda: None)
    recipe = run.plan.recipe.model_dump(mode="json")
    return federated_training.federated_training.fn(recipe, run=run.run, resume=True)
