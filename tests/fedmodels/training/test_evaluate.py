import copy
import math

import numpy as np
import pytest
import torch

from fedmodels.errors import TrainingFailed
from fedmodels.training import evaluate as evaluating
from fedmodels.training.evaluate import (
    compute_logits,
    evaluate,
    measure_latency,
    predict,
)
from fedmodels.training.stopwatch import Stopwatch
from fedmodels.training.tokenized import encode_texts

MIXED = (
    "good",
    "the camera is very good and it works",
    "hate the phone",
    "a",
    "the battery is poor and broken",
)


@pytest.fixture
def mixed(tiny):
    return encode_texts(tiny[1], MIXED, 16)


def logits(model, examples, batch_size):
    return compute_logits(model, examples, Stopwatch(), batch_size)


def test_padding_changes_no_logit(tiny, mixed):
    alone = logits(tiny[0], mixed, 1)
    padded = logits(tiny[0], mixed, 5)
    assert np.abs(alone - padded).max() < 1e-5
    assert np.abs(alone - alone[::-1]).max() > 1e-4


def test_logits_are_those_of_the_model_in_the_order_of_the_texts(tiny, mixed):
    model, tokenizer = tiny
    with torch.inference_mode():
        expected = [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in MIXED]
    assert np.allclose(logits(model, mixed, 2), expected, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_metrics_do_not_depend_on_the_batches(tiny, mixed, batch_size):
    labels = [1, 1, 0, 0, 0]
    metrics, intervals = evaluate(tiny[0], mixed, labels, batch_size)
    reference, _ = evaluate(tiny[0], mixed, labels, 3)
    assert (metrics.accuracy, metrics.macro_f1) == (reference.accuracy, reference.macro_f1)
    assert metrics.loss == pytest.approx(reference.loss, abs=1e-5)
    assert metrics.num_examples == 5
    assert intervals


def test_scoring_is_repeatable_and_leaves_no_gradient(tiny, mixed):
    tiny[0].train()
    first, _ = evaluate(tiny[0], mixed, [1, 1, 0, 0, 0])
    second, _ = evaluate(tiny[0], mixed, [1, 1, 0, 0, 0])
    assert first == second
    assert all(parameter.grad is None for parameter in tiny[0].parameters())


def test_prediction_by_hand(tiny, mixed):
    model = tiny[0]
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 2.0]))
    expected = 1 / (1 + math.exp(-2))
    for prediction in predict(model, mixed):
        assert prediction.label == "positive"
        assert prediction.probability == pytest.approx(expected)


def test_predictions_follow_the_texts(tiny, mixed):
    together = predict(tiny[0], mixed)
    alone = [predict(tiny[0], encode_texts(tiny[1], [text], 16))[0] for text in MIXED]
    assert [p.label for p in together] == [p.label for p in alone]
    assert [p.probability for p in together] == pytest.approx([p.probability for p in alone], abs=1e-5)
    assert all(0.5 <= p.probability <= 1.0 for p in together)


def test_no_texts_are_no_predictions(tiny):
    assert predict(tiny[0], encode_texts(tiny[1], [], 16)) == []


def test_a_model_with_a_weight_that_is_no_number_has_no_score(tiny, mixed):
    with torch.no_grad():
        tiny[0].classifier.bias[0] = math.nan
    with pytest.raises(TrainingFailed) as caught:
        evaluate(tiny[0], mixed, [1, 1, 0, 0, 0])
    assert caught.value.code == "evaluation-not-finite"


def test_latency_times_each_text_once_after_a_warm_up(tiny, mixed, monkeypatch):
    clock = iter([0.0, 9.0, 0.0, 9.0, *(t for n in range(1, 6) for t in (0.0, n / 1000))])
    monkeypatch.setattr(evaluating, "WARM_UP_TEXTS", 2)
    monkeypatch.setattr(evaluating.time, "perf_counter", lambda: next(clock))
    assert measure_latency(tiny[0], mixed) == pytest.approx(np.percentile([1, 2, 3, 4, 5], 95))


@pytest.mark.parametrize(
    "score",
    [
        lambda model, examples: evaluate(model, examples, [0] * len(examples)),
        predict,
        measure_latency,
    ],
    ids=["evaluate", "predict", "measure_latency"],
)
@pytest.mark.parametrize("step", ["to", "forward"])
def test_memory_that_does_not_suffice_is_named(tiny, mixed, monkeypatch, score, step):
    def exhausted(*_arguments, **_named):
        raise torch.OutOfMemoryError("no row, no path")

    monkeypatch.setattr(tiny[0], step, exhausted)
    with pytest.raises(TrainingFailed) as caught:
        score(tiny[0], mixed)
    assert caught.value.code == "evaluation-out-of-memory"
    assert "no row" not in str(caught.value)


@pytest.mark.parametrize("score", [lambda *of: logits(*of, 2), measure_latency])
def test_a_model_that_scoring_moved_can_still_be_trained(tiny, mixed, score, monkeypatch):
    """The device `meta` stands for a GPU: the model must move, and there are no numbers to read back."""
    model = copy.deepcopy(tiny[0])
    monkeypatch.setattr(evaluating, "pick_device", lambda: torch.device("meta"))
    with pytest.raises(RuntimeError, match="meta"):
        score(model, mixed)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert not any(parameter.is_inference() for parameter in model.parameters())
