"""Fine-tuning is kept only when the key metric rises and the loss does not; without rows it is left out."""

import logging
from types import SimpleNamespace

import pytest

from fedmodels.data.rows import LabelledTexts
from fedmodels.protocol.messages import Metrics
from fedmodels.protocol.pages import gate_markdown
from tasks.coordinator import tuning
from tasks.coordinator.artifacts import _left_out
from tasks.coordinator.tuning import fine_tune, helps
from tests.fedmodels.protocol.builders import plan_for, recipe_for, record


def scores(accuracy: float, loss: float) -> Metrics:
    return Metrics(accuracy=accuracy, macro_f1=accuracy, loss=loss, num_examples=300)


@pytest.mark.parametrize(
    ("metric", "after", "kept"),
    [
        ("accuracy", scores(0.81, 0.40), True),
        ("accuracy", scores(0.81, 0.41), False),
        ("accuracy", scores(0.80, 0.30), False),
        ("loss", scores(0.70, 0.39), True),
        ("loss", scores(0.90, 0.40), False),
    ],
)
def test_what_is_kept(metric, after, kept):
    assert helps(metric, after, scores(0.80, 0.40)) is kept


class Bench:
    """A model whose scores never change, and which counts its trainings."""

    def __init__(self):
        self.trained = 0

    def load(self, _path, _sha256):
        pass

    def evaluate(self, _rows):
        return scores(0.80, 0.40), ()

    def train(self, _rows, _config, **_):
        self.trained += 1
        return SimpleNamespace(compute=())

    def write(self, _path):
        return "1" * 64


def coordinator(tmp_path, public, **changes):
    """What fine-tuning needs of a coordinator, and what was uploaded ahead."""
    uploaded = []
    rows = LabelledTexts(("good one", "bad one"), ("1", "0"))
    return uploaded, SimpleNamespace(
        run="r",
        plan=plan_for(recipe_for(**changes)),
        head=SimpleNamespace(passed_rounds=0),
        sets={"public": public, "validation": rows, "holdout": rows},
        tables={},
        workbench=Bench(),
        watch=SimpleNamespace(computed=lambda _intervals: None),
        publisher=SimpleNamespace(publish_ahead=lambda path, _sha256: uploaded.append(path.name)),
        round_folder=lambda _number: tmp_path,
    )


def test_without_a_public_row_the_average_goes_on_and_that_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(tuning, "get_run_logger", logging.getLogger)
    uploaded, run = coordinator(tmp_path, LabelledTexts())
    tuned = fine_tune.fn(run, 1, "0" * 64)
    assert (tuned.sha256, tuned.fine_tuning, tuned.metrics) == ("0" * 64, None, scores(0.80, 0.40))
    assert run.workbench.trained == 0
    assert uploaded == ["aggregate.safetensors"], "as when the recipe wants none"
    said = "Global fine-tuning left out: the coordinator has no public row."
    assert [record.getMessage() for record in caplog.records] == [said]


def test_one_public_row_is_enough(tmp_path, monkeypatch):
    uploaded, run = coordinator(tmp_path, LabelledTexts(("fine",), ("1",)))
    tuned = fine_tune.fn(run, 1, "0" * 64)
    assert run.workbench.trained == 1
    assert tuned.fine_tuning is not None
    assert uploaded == ["fine-tuned.safetensors"]


def test_a_recipe_without_fine_tuning_says_nothing_of_it(tmp_path, caplog):
    _, run = coordinator(tmp_path, LabelledTexts(), fine_tuning=None)
    assert fine_tune.fn(run, 1, "0" * 64).fine_tuning is None
    assert not caplog.records


def test_the_rounds_page_says_it_too(tmp_path):
    _, run = coordinator(tmp_path, LabelledTexts())
    assert "- global fine-tuning left out: the coordinator has no public row" in gate_markdown(
        record(1), left_out=_left_out(run, record(1))
    )
    assert not _left_out(run, record(1, outcome="quorum-missed")), "there was no model to tune"
    _, with_rows = coordinator(tmp_path, LabelledTexts(("fine",), ("1",)))
    assert "left out" not in gate_markdown(record(1), left_out=_left_out(with_rows, record(1)))
