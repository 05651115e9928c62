"""Runs in which each party trains alone."""

from datetime import UTC, datetime

import pytest

from fedmodels.errors import QuorumMissed, StackError
from fedmodels.identifiers import check_identifier
from fedmodels.recipe import Recipe
from flows.demonstrations import baselines
from flows.demonstrations.baselines import alone, alone_requests, train_alone

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PARTIES = ("electronics-shop-north", "electronics-shop-south", "wine-shop")
TABLES = {party: {"train": f"{party}.csv"} for party in PARTIES}
RECIPE = Recipe(name="r", data={"parties": TABLES, "coordinator": {"table": "own.csv"}})
SCORES = {"accuracy": 0.5, "macro_f1": 0.4, "loss": 0.9, "num_examples": 10}
NOT_A_BOUND = {"after_refusal"}


def test_each_party_gets_a_run_of_its_own_however_alike_their_names():
    requests = alone_requests(RECIPE, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    runs = [check_identifier("run", request.run) for request in requests.values()]
    assert runs[:2] == ["alone-1-electro-20260102-030405", "alone-2-electro-20260102-030405"]
    assert [request.parties for request in requests.values()] == [(party,) for party in PARTIES]
    assert all(request.recipe.min_available_parties == 1 for request in requests.values())


def test_nobody_judges_a_party_that_trains_alone():
    bounds = {name: value for name, value in alone(RECIPE).gate if name not in NOT_A_BOUND}
    assert bounds.keys() >= {"max_metric_drop", "max_loss_ratio"}
    assert bounds == dict.fromkeys(bounds)
    assert (alone(RECIPE).fine_tuning, alone(RECIPE).early_stopping) == (None, None)


@pytest.fixture
def runs(monkeypatch):
    """Runs that are begun and followed without a stack: `ends` says how each party's does."""
    ends = dict.fromkeys(PARTIES, "finished")
    abandoned = []

    def begin(request, _home):
        (party,) = request.parties
        if isinstance(ends[party], StackError):
            raise ends[party]
        return party

    def follow(_home, _run, party):
        if isinstance(ends[party], BaseException):
            raise ends[party]
        return {"final": SCORES}

    monkeypatch.setattr(baselines, "begin", begin)
    monkeypatch.setattr(baselines, "follow", follow)
    monkeypatch.setattr(baselines, "abandon", lambda _home, run, _reason, _say: abandoned.append(run))
    return ends, abandoned


def test_a_party_that_fails_has_no_scores_and_keeps_nobody_else_from_theirs(tmp_path, runs):
    ends, abandoned = runs
    ends[PARTIES[0]] = StackError("There is no deployment", code="deployment-missing")
    ends[PARTIES[1]] = QuorumMissed("Nobody answered")
    told = []
    assert train_alone(RECIPE, tmp_path, told.append, NOW, goes_down=True) == {
        PARTIES[0]: None,
        PARTIES[1]: None,
        PARTIES[2]: SCORES,
    }
    assert told == [
        f"{PARTIES[0]} could not be trained alone: There is no deployment. (deployment-missing)",
        f"{PARTIES[1]} could not be trained alone: Nobody answered. (quorum-missed)",
    ]
    assert [run[:7] for run in abandoned] == ["alone-1", "alone-2"]


@pytest.mark.parametrize("goes_down", [True, False])
def test_an_interruption_takes_the_runs_along_when_their_stack_goes_down(tmp_path, runs, goes_down):
    ends, abandoned = runs
    ends[PARTIES[1]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        train_alone(RECIPE, tmp_path, print, NOW, goes_down=goes_down)
    assert len(abandoned) == (3 if goes_down else 0)
