"""Scores row by row agree with the scores of all rows; calibration by hand and at its ends."""

import math

import numpy as np
import pytest

from fedmodels.errors import TrainingFailed
from fedmodels.metrics import score
from fedmodels.row_scores import expected_calibration_error, row_scores

LOGITS = np.array([[2.0, 0.0], [0.0, 1.0], [0.5, 0.5], [-1.0, 3.0]], dtype=np.float32)
ACTUAL = np.array([0, 0, 0, 1])


def test_they_are_the_rows_of_the_same_metrics():
    rows, metrics = row_scores(LOGITS, ACTUAL), score(LOGITS, ACTUAL)
    assert rows.correct.tolist() == [True, False, True, True]
    assert rows.accuracy == metrics.accuracy == 0.75
    assert rows.losses.mean() == pytest.approx(metrics.loss)
    assert rows.losses[1] == pytest.approx(math.log(1 + math.e))
    assert rows.confidences[2] == pytest.approx(0.5)
    assert rows.confidences[1] == pytest.approx(math.e / (1 + math.e))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_without_finite_logits_there_are_none(bad):
    with pytest.raises(TrainingFailed) as caught:
        row_scores(np.array([[bad, 0.0]]), np.array([0]))
    assert caught.value.code == "evaluation-not-finite"


def test_calibration_by_hand():
    # Bin (0.5, 0.6]: two rows at 0.6, one right -> gap 0.1. Bin (0.9, 1.0]: one row at 1.0, wrong -> gap 1.
    confidences, correct = np.array([0.6, 0.6, 1.0]), np.array([True, False, False])
    assert expected_calibration_error(confidences, correct, bins=10) == pytest.approx((2 * 0.1 + 1.0) / 3)


def test_gaps_of_one_bin_cancel_and_of_two_bins_do_not():
    confidences, correct = np.array([0.55, 0.95]), np.array([True, False])
    assert expected_calibration_error(confidences, correct, bins=1) == pytest.approx(0.25)
    assert expected_calibration_error(confidences, correct, bins=2) == pytest.approx(0.25)
    assert expected_calibration_error(confidences, correct, bins=10) == pytest.approx((0.45 + 0.95) / 2)


def test_an_edge_belongs_to_the_bin_below():
    confidences, correct = np.array([0.5, 0.45]), np.array([True, False])
    assert expected_calibration_error(confidences, correct, bins=2) == pytest.approx(0.05 / 2)
    just_above = np.array([0.55, 0.45])
    assert expected_calibration_error(just_above, correct, bins=2) == pytest.approx((0.45 + 0.45) / 2)


@pytest.mark.parametrize(("right", "expected"), [(True, 0.0), (False, 1.0)])
def test_its_ends(right, expected):
    assert expected_calibration_error(np.ones(5), np.full(5, right)) == expected


def test_a_calibrated_model_comes_near_zero_with_many_rows():
    generator = np.random.default_rng(1)
    confidences = generator.uniform(0.5, 1.0, 200_000)
    correct = generator.uniform(size=200_000) < confidences
    assert expected_calibration_error(confidences, correct) < 0.005
