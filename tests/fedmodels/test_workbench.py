"""What a workbench scores, and what it takes as it was kept."""

import numpy as np
import pytest

from fedmodels.data.rows import LabelledTexts
from fedmodels.recipe import LocalTraining
from fedmodels.training.evaluate import evaluate, predict
from fedmodels.training.kept_logits import KeptLogits
from fedmodels.workbench import Workbench

ROWS = LabelledTexts(
    ("good", "the camera is very good and it works", "hate the phone", "a", "the battery is broken"),
    ("positive", "positive", "negative", "negative", "negative"),
)


def workbench(tiny, kept=None):
    from fedmodels.classifier import parameter_specs

    model, tokenizer = tiny
    return Workbench(
        model,
        tokenizer,
        labels=("negative", "positive"),
        max_length=16,
        parameters=parameter_specs(model),
        cache=None,
        kept=kept,
    )


@pytest.fixture
def kept(tmp_path):
    return KeptLogits(tmp_path / "logits", "here")


def test_rows_add_up_to_the_metrics_of_all(tiny):
    bench = workbench(tiny)
    metrics, rows = bench.evaluate_rows(ROWS)
    assert metrics == bench.evaluate(ROWS)[0]
    assert metrics == evaluate(bench.model, bench.encode(ROWS), bench.targets(ROWS))[0]
    assert rows.accuracy == metrics.accuracy
    assert rows.losses.mean() == pytest.approx(metrics.loss)
    predicted = [item.probability for item in predict(bench.model, bench.encode(ROWS))]
    assert np.allclose(rows.confidences, predicted)


def test_weights_that_were_scored_are_scored_no_more(tiny, kept, tmp_path, monkeypatch):
    bench = workbench(tiny, kept)
    sha256 = bench.write(tmp_path / "weights.safetensors")
    metrics, intervals = bench.evaluate(ROWS)
    assert intervals
    monkeypatch.setattr(bench.model, "forward", None)
    assert bench.evaluate(ROWS) == (metrics, ())
    assert workbench(tiny, kept).remember_rows(ROWS, sha256)[0] == metrics
    assert bench.remember_rows(ROWS, "f" * 64) is None
    other = LabelledTexts(ROWS.texts, tuple(reversed(ROWS.labels)))
    assert bench.evaluate(other)[0].loss != metrics.loss, "labels decide no logit"


def test_weights_that_nobody_has_hashed_are_scored_whenever_that_is_asked(tiny, kept, tmp_path):
    bench = workbench(tiny, kept)
    assert bench.evaluate(ROWS)[1]
    assert bench.evaluate(ROWS)[1]
    assert not kept.folder.exists()
    bench.write(tmp_path / "weights.safetensors")
    before = bench.evaluate(ROWS)[0]
    config = LocalTraining(learning_rate=0.01, batch_size=2)
    bench.train(ROWS, config, passed_rounds=0, num_rounds=1, seed=(1, "shop", 1), should_stop=lambda: False)
    after, intervals = bench.evaluate(ROWS)
    assert intervals
    assert after.loss != before.loss


def test_a_workbench_that_keeps_nothing_remembers_nothing(tiny, tmp_path):
    bench = workbench(tiny)
    sha256 = bench.write(tmp_path / "weights.safetensors")
    bench.evaluate(ROWS)
    assert bench.remember_rows(ROWS, sha256) is None
