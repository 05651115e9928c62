"""A party that cannot score a candidate says so under its signature, and stays."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import DataRefused, StoreRefused, TrainingFailed
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Evaluation, Signed, StandingChampion
from infra.keys import verify
from infra.layout import evaluation_key, plan_key
from infra.settings import load_role_settings
from tasks.party import evaluation
from tasks.party.evaluation import evaluate_candidate
from tasks.party.session import PartySession
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, scores

PARTY = "shop-a"


class Bench:
    """Scores a holdout, or fails as it is told; 0.7, or what `known` says of the model that is loaded."""

    def __init__(self, error: Exception | None = None, known: dict[str, float] | None = None) -> None:
        self.error, self.known = error, known or {}
        self.scored: list[str] = []

    def load(self, path, sha256) -> None:
        assert path.exists()
        self.loaded = sha256

    def evaluate(self, holdout):
        if self.error:
            raise self.error
        self.scored.append(self.loaded)
        return scores(self.known.get(self.loaded, 0.7)), [(1.0, 2.0)]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as home:
        yield FinishedRun(home, "scored-1")


@pytest.fixture(scope="module")
def candidate(played):
    played.announce(1)
    for party in PARTIES:
        played.submit(party, 1)
    return played.propose_anything(played.decide(1, dict.fromkeys(PARTIES, 1), {}))


@pytest.fixture
def session(played):
    made = PartySession(played.run, load_role_settings(played.home, PARTY))
    made.plan, made.workbench = played.plan, Bench()
    made.prepared = SimpleNamespace(holdout=["a row"])
    made.store.delete(evaluation_key(PARTY, played.run, 1))
    return made


def left(played) -> Evaluation:
    envelope = played.store.read(evaluation_key(PARTY, played.run, 1))
    signed = Signed.model_validate_json(envelope)
    assert verify(played.plan.parties[PARTY], signed.payload.encode(), signed.signature)
    return Evaluation.model_validate_json(signed.payload)


def test_scores_are_signed(played, candidate, session):
    evaluate_candidate.fn(session, candidate)
    assert (left(played).metrics, left(played).reason) == (scores(0.7), "")


def test_refused_data_have_no_vote(played, candidate, session):
    session.refused = DataRefused("A label is unknown", code="contract-failed")
    evaluate_candidate.fn(session, candidate)
    assert (left(played).metrics, left(played).reason) == (None, "contract-failed: A label is unknown.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TrainingFailed("The loss is not finite", code="loss-not-finite"), "loss-not-finite"),
        (KeyError("confidential"), "score-failed"),
    ],
)
def test_a_fault_while_scoring_is_a_signed_abstention(played, candidate, session, error, code):
    session.workbench = Bench(error)
    evaluate_candidate.fn(session, candidate)
    assert left(played).metrics is None
    assert left(played).reason.startswith(f"{code}: ")
    assert "confidential" not in left(played).reason


class Champions:
    """A champion of another run, and the candidate beside which it is to be scored."""

    def __init__(self, played, candidate, session, run: FinishedRun) -> None:
        self.sha256 = run.plan.base_model_sha256
        named = StandingChampion(run=run.run, model_sha256=self.sha256)
        self.candidate = candidate.model_copy(update={"champion": named})
        self.bench = session.workbench = Bench(known={self.sha256: 0.6})
        self.own = candidate.model_sha256
        self._played, self._session = played, session

    def score(self) -> Evaluation:
        self._session.store.delete(evaluation_key(PARTY, self._played.run, 1))
        evaluate_candidate.fn(self._session, self.candidate)
        return left(self._played)


@pytest.fixture(scope="module")
def before(played):
    """The run of a champion."""
    return FinishedRun(played.home, "before-1", seed=1)


@pytest.fixture
def champions(played, candidate, session, before):
    return Champions(played, candidate, session, before)


def test_the_champion_is_scored_on_the_same_rows_and_the_candidate_stays_in_memory(champions, session):
    found = champions.score()
    assert (found.metrics, found.champion.metrics, found.champion.reason) == (scores(0.7), scores(0.6), "")
    assert found.champion.model_sha256 == champions.sha256
    assert champions.bench.scored == [champions.sha256, champions.own]
    assert len(session.compute) == 2, "the time counts as computing, of both"
    assert found.bytes_down > 0


def test_it_is_scored_once_for_each_holdout(champions, session):
    first = champions.score()
    assert champions.score().champion == first.champion
    assert champions.bench.scored == [champions.sha256, champions.own, champions.own]
    session.prepared = SimpleNamespace(holdout=["a row", "a fresh one"])
    champions.bench.known[champions.sha256] = 0.4
    assert champions.score().champion.metrics == scores(0.4)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"run": "nothing-1"}, "run-unknown"),
        ({"model_sha256": "e" * 64}, "integrity"),
    ],
)
def test_a_champion_that_cannot_be_scored_costs_no_vote(champions, change, code):
    named = champions.candidate.champion.model_copy(update=change)
    champions.candidate = champions.candidate.model_copy(update={"champion": named})
    found = champions.score()
    assert (found.metrics, found.champion.metrics) == (scores(0.7), None)
    assert found.champion.reason.startswith(f"{code}: ")


def test_a_champion_of_other_labels_is_not_scored(played, candidate, session):
    other = FinishedRun(played.home, "labels-1", seed=2)
    plan = other.plan.model_copy(update={"labels": ("bad", "fair", "good")})
    other.store.put_blob(plan_key(other.run), canonical_json(plan))
    found = Champions(played, candidate, session, other).score()
    assert (found.metrics, found.champion.metrics) == (scores(0.7), None)
    assert found.champion.reason.startswith("labels-differ: ")


def test_a_champion_that_is_built_otherwise_is_scored_on_a_workbench_of_its_own(
    played, candidate, session, monkeypatch
):
    other = FinishedRun(played.home, "larger-1", seed=3)
    plan = other.plan.model_copy(update={"architecture_sha256": "d" * 64})
    other.store.put_blob(plan_key(other.run), canonical_json(plan))
    made = Champions(played, candidate, session, other)
    own = Bench(known={made.sha256: 0.3})
    opened = []
    monkeypatch.setattr(evaluation, "open_workbench", lambda _s, plan, *_: opened.append(plan) or own)
    found = made.score()
    assert (found.metrics, found.champion.metrics) == (scores(0.7), scores(0.3))
    assert (opened, own.scored, made.bench.scored) == ([plan], [made.sha256], [made.own])


def test_an_abstention_says_nothing_of_the_champion(champions, session):
    session.prepared = SimpleNamespace(holdout=[])
    found = champions.score()
    assert (found.metrics, found.champion, champions.bench.scored) == (None, None, [])


def test_a_store_that_refuses_the_party_takes_no_abstention(candidate, session):
    session.workbench = Bench(StoreRefused("The door is closed"))
    with pytest.raises(StoreRefused):
        evaluate_candidate.fn(session, candidate)
