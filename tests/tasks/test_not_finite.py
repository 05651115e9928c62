"""A model without finite scores, or no model at all, reaches the gate and ends nothing."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import IntegrityError, RunError, TrainingFailed
from fedmodels.protocol.messages import Decision
from fedmodels.protocol.recording import NO_FINITE_AVERAGE
from fedmodels.protocol.state import Collection, Verdict
from flows import federated_training
from tasks.coordinator.sets import finite_scores
from tests.fedmodels.protocol.builders import recipe_for

DECISION = Decision(run="r", round=2, base_sha256="0" * 64, accepted=(), refused=())
RUN = SimpleNamespace(
    sets={"validation": ()}, plan=SimpleNamespace(recipe=recipe_for(), parties=("a", "b")), records=[]
)


class Broken:
    """A model whose evaluation fails with a code."""

    def __init__(self, code: str) -> None:
        self.code = code

    def evaluate(self, _texts):
        raise TrainingFailed("It failed", code=self.code)


def test_scores_that_are_not_finite_are_none_and_another_fault_is_not_hidden():
    assert finite_scores(RUN, Broken("evaluation-not-finite"), "validation") is None
    with pytest.raises(TrainingFailed, match="It failed"):
        finite_scores(RUN, Broken("training-failed"), "validation")


def outcome(monkeypatch, error, again):
    """What `make_candidate` makes of an aggregation that fails, and of what was collected again."""

    def fail(_run, _decision):
        raise error

    monkeypatch.setattr(federated_training, "aggregate", fail)
    monkeypatch.setattr(federated_training, "recheck_updates", lambda _run, _decision: again)
    return federated_training.make_candidate(RUN, DECISION)


def test_an_average_that_is_no_model_refuses_the_round(monkeypatch):
    error = RunError("It left the range", code="aggregate-not-finite")
    assert outcome(monkeypatch, error, None) == Verdict(2, {}, None, NO_FINITE_AVERAGE)
    changed = Collection(2, ())
    assert outcome(monkeypatch, error, changed) is changed, "whoever swapped an update is named first"


@pytest.mark.parametrize("error", [IntegrityError("Damaged"), RunError("Full", code="disk-full")])
def test_another_fault_of_aggregation_is_raised(monkeypatch, error):
    with pytest.raises(type(error)):
        outcome(monkeypatch, error, None)
