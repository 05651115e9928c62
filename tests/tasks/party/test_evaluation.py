"""A party that cannot score a candidate says so under its signature, and stays."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import DataRefused, StoreRefused, TrainingFailed
from fedmodels.protocol.messages import Evaluation, Signed
from infra.keys import verify
from infra.layout import evaluation_key
from infra.settings import load_role_settings
from tasks.party.evaluation import evaluate_candidate
from tasks.party.session import PartySession
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, scores

PARTY = "shop-a"


class Bench:
    """Scores a holdout, or fails as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def load(self, path, sha256) -> None:
        assert path.exists()

    def evaluate(self, holdout):
        if self.error:
            raise self.error
        return scores(0.7), []


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


def test_a_store_that_refuses_the_party_takes_no_abstention(candidate, session):
    session.workbench = Bench(StoreRefused("The door is closed"))
    with pytest.raises(StoreRefused):
        evaluate_candidate.fn(session, candidate)
