"""Scores of a classifier, in numpy alone.

Shapes: n examples, C classes. Class indices run from 0 to C - 1.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedmodels.errors import TrainingFailed
from fedmodels.protocol.messages import Metrics

Indices = NDArray[np.int64]


def accuracy(predicted: Indices, actual: Indices) -> float:
    """Share of equal entries of two [n] arrays, n at least 1."""
    return float(np.mean(predicted == actual))


def macro_f1(predicted: Indices, actual: Indices) -> float:
    """Unweighted mean of the classes' F1 scores, as `sklearn.metrics.f1_score(average="macro")` takes it.

    A class counts when it occurs in `predicted` or in `actual` ([n] each); one that occurs in neither
    is left out, not scored 0. F1 of a class is 2·TP / (2·TP + FP + FN), which is 0 without a hit.
    """
    classes = np.union1d(predicted, actual)
    scores = []
    for label in classes:
        hits = int(np.sum((predicted == label) & (actual == label)))
        scores.append(2 * hits / (int(np.sum(predicted == label)) + int(np.sum(actual == label))))
    return float(np.mean(scores))


def standard_error(proportion: float, num_examples: int) -> float:
    """Standard error of a proportion among n independent examples: sqrt(p · (1 - p) / n).

    Sentences of one review are not independent, so for such data it is a lower bound.
    """
    return math.sqrt(proportion * (1.0 - proportion) / num_examples)


def log_probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-softmax over the last axis of [n, C], in float64."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def check_finite(logits: NDArray[np.floating]) -> None:
    """See that scores can be made of these logits.

    Raises:
        TrainingFailed: `evaluation-not-finite`: one of them is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise TrainingFailed(
            "The model's scores are not finite numbers",
            fix="lower the learning rate or look for a poisoned update",
            code="evaluation-not-finite",
        )


def score(logits: NDArray[np.floating], actual: Indices) -> Metrics:
    """Metrics of [n, C] logits against [n] class indices. Equal logits: the lower class is predicted.

    Raises:
        TrainingFailed: `evaluation-not-finite`: a logit is NaN or infinite, so that no score exists.
    """
    check_finite(logits)
    predicted = logits.argmax(axis=1).astype(np.int64)
    losses = -log_probabilities(logits)[np.arange(len(actual)), actual]
    return Metrics(
        accuracy=accuracy(predicted, actual),
        macro_f1=macro_f1(predicted, actual),
        loss=float(losses.mean()),
        num_examples=len(actual),
    )
