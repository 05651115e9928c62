"""A classifier's scores row by row, and how well its confidence is calibrated. In numpy alone.

Shapes: n examples, C classes, B bins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmodels.metrics import Indices, check_finite, log_probabilities

CALIBRATION_BINS = 15
"""As in Guo et al. 2017, so that figures compare with published ones."""


@dataclass(frozen=True)
class RowScores:
    """What one model made of each of n labelled rows, in their order."""

    correct: NDArray[np.bool_]
    """[n] whether the predicted class is the row's."""
    losses: NDArray[np.float64]
    """[n] cross-entropy in nats."""
    confidences: NDArray[np.float64]
    """[n] probability of the predicted class, 1 / C to 1."""

    def __len__(self) -> int:
        return len(self.correct)

    @property
    def accuracy(self) -> float:
        """Share of correct rows."""
        return float(self.correct.mean())


def row_scores(logits: NDArray[np.floating], actual: Indices) -> RowScores:
    """Scores of [n, C] logits against [n] class indices. Equal logits: the lower class is predicted.

    Raises:
        TrainingFailed: `evaluation-not-finite`: a logit is NaN or infinite, so that no score exists.
    """
    check_finite(logits)
    rows = np.arange(len(actual))
    logs = log_probabilities(logits)
    predicted = logits.argmax(axis=1)
    return RowScores(
        correct=predicted == actual, losses=-logs[rows, actual], confidences=np.exp(logs[rows, predicted])
    )


def confidence_bins(confidences: NDArray[np.float64], bins: int = CALIBRATION_BINS) -> Indices:
    """[n] number of the bin of each confidence, from 0; B bins of equal width.

    Bin b holds confidences in (b / B, (b + 1) / B], the first one 0 as well.
    """
    return np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)


def expected_calibration_error(
    confidences: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """Mean distance between confidence and accuracy, over the B `confidence_bins`, weighted by their rows.

    An empty bin weighs nothing. The estimate is biased upwards where rows are few: a calibrated model does
    not score 0 on 300 rows.

    M. P. Naeini, G. F. Cooper, M. Hauskrecht: Obtaining well calibrated probabilities using Bayesian
    binning, AAAI 2015; 15 bins of the predicted class's probability as C. Guo, G. Pleiss, Y. Sun, K. Q.
    Weinberger: On calibration of modern neural networks, ICML 2017.

    Args:
        confidences: [n] probability of the predicted class, n at least 1.
        correct: [n] whether the prediction was right.
        bins: B.

    Returns:
        0 (calibrated) to 1.
    """
    gaps = np.bincount(confidence_bins(confidences, bins), weights=confidences - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences))
