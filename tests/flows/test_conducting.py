"""Whose sessions a coordinator starts, and when."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import RunConflict
from flows import federated_training
from flows.federated_training import conduct


@pytest.fixture
def steps(monkeypatch):
    """The names of the steps that are taken, up to loading the workbench."""
    taken = []

    def stop(run):
        raise RunConflict("Far enough")

    monkeypatch.setattr(federated_training, "race_store", lambda run: taken.append("race"))
    monkeypatch.setattr(federated_training, "start_session", lambda run, party: taken.append(party))
    monkeypatch.setattr(federated_training, "open_run", lambda run, recipe, parties: taken.append("open"))
    monkeypatch.setattr(federated_training, "resume_run", lambda run: taken.append("resume"))
    monkeypatch.setattr(federated_training, "load_workbench", stop)
    return taken


def conducted(steps, *, resume):
    run = SimpleNamespace(plan=SimpleNamespace(parties={"shop-a": "", "shop-b": ""}))
    with pytest.raises(RunConflict):
        conduct(run, None, ("shop-a", "shop-b", "shop-c"), resume=resume)
    return steps


def test_a_new_run_starts_those_that_were_chosen_while_it_is_opened(steps):
    assert conducted(steps, resume=False) == ["race", "shop-a", "shop-b", "shop-c", "open"]


def test_a_resume_starts_the_plans_parties_once_the_run_is_known_to_be_open(steps):
    assert conducted(steps, resume=True) == ["race", "resume", "shop-a", "shop-b"]


def test_a_resume_of_a_run_that_is_over_starts_nobody(steps, monkeypatch):
    def over(run):
        raise RunConflict("It is over")

    monkeypatch.setattr(federated_training, "resume_run", over)
    assert conducted(steps, resume=True) == ["race"]
