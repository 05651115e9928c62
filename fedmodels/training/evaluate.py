"""Scoring and prediction with a classifier as it is: no gradients, no randomness, fp32."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fedmodels.errors import TrainingFailed
from fedmodels.metrics import log_probabilities, score
from fedmodels.protocol.messages import Metrics
from fedmodels.training.batching import evaluation_batches
from fedmodels.training.precision import pick_device
from fedmodels.training.stopwatch import Stopwatch
from fedmodels.training.tokenized import EncodedTexts

BATCH_SIZE = 64
LATENCY_TEXTS = 50
"""Texts that are timed at most, one by one."""
WARM_UP_TEXTS = 5
"""Texts before them that are not: the first ones pay for allocations and kernels."""


class Prediction(NamedTuple):
    """The most probable label of one text, and its probability."""

    label: str
    probability: float


def evaluate(
    model: Any,
    examples: EncodedTexts,
    labels: Sequence[int],
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
) -> tuple[Metrics, tuple[tuple[float, float], ...]]:
    """Score a sequence classifier on n labelled texts, n at least 1.

    The metrics are taken over all logits at once, so that batches decide nothing but padding, which
    moves a logit by rounding alone.

    Returns:
        The metrics, and (begin, end) of `time.perf_counter` inside the model.

    Raises:
        TrainingFailed: `evaluation-not-finite`, `evaluation-out-of-memory`.
    """
    watch = Stopwatch()
    logits = compute_logits(model, examples, watch, batch_size, device)
    return score(logits, np.asarray(labels, dtype=np.int64)), watch.intervals


def measure_latency(model: Any, examples: EncodedTexts, device: torch.device | None = None) -> float:
    """95th percentile of the milliseconds that the model takes for one text, without its tokenizer.

    Times up to `LATENCY_TEXTS` of n texts (n at least 1) one by one, in their order. Depends on the machine
    and on what else it does; it tells a model that is ten times slower from one that is not.
    """
    device = device or pick_device()
    timed = np.arange(min(len(examples), LATENCY_TEXTS))
    seconds = []
    with _scoring(model, device, texts=1):
        for row in [*timed[:WARM_UP_TEXTS], *timed]:
            ids, mask = examples.batch(np.array([row]))
            begin = time.perf_counter()
            model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.cpu()
            seconds.append(time.perf_counter() - begin)
    return float(1000.0 * np.percentile(seconds[-len(timed) :], 95))


def predict(
    model: Any, examples: EncodedTexts, batch_size: int = BATCH_SIZE, device: torch.device | None = None
) -> list[Prediction]:
    """The model's label for each text, by its own `id2label`, in the order of the texts."""
    if not len(examples):
        return []
    logits = compute_logits(model, examples, Stopwatch(), batch_size, device)
    probabilities = np.exp(log_probabilities(logits))
    names: dict[int, str] = model.config.id2label
    return [
        Prediction(names[int(best)], float(row[best]))
        for best, row in zip(logits.argmax(axis=1), probabilities, strict=True)
    ]


def compute_logits(
    model: Any,
    examples: EncodedTexts,
    watch: Stopwatch,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
) -> NDArray[np.float32]:
    """[n, C] logits in the order of the texts.

    Raises:
        TrainingFailed: `evaluation-out-of-memory`.
    """
    device = device or pick_device()
    logits = np.empty((len(examples), model.config.num_labels), dtype=np.float32)
    with _scoring(model, device, texts=min(batch_size, len(examples))):
        for rows in evaluation_batches(examples.lengths, batch_size):
            ids, mask = examples.batch(rows)
            with watch:
                output = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
                logits[rows] = output.float().cpu().numpy()
    return logits


@contextmanager
def _scoring(model: Any, device: torch.device, texts: int) -> Iterator[None]:
    """The model on `device` for batches of so many texts, and nothing that is computed has a gradient.

    It is moved before inference mode begins: weights that are moved inside it can never be trained again.
    """
    with _memory_told(texts):
        model.to(device).eval()
        with torch.inference_mode():
            yield


@contextmanager
def _memory_told(texts: int) -> Iterator[None]:
    """Turn memory that does not suffice for a batch of so many texts into one sentence, as training does."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise TrainingFailed(
            f"The model and a batch of {texts} texts to score do not fit into memory",
            fix="lower model.max_length, or see what else uses the GPU",
            code="evaluation-out-of-memory",
        ) from None
