import math

import numpy as np
import pytest

from fedmodels.errors import TrainingFailed
from fedmodels.metrics import accuracy, log_probabilities, macro_f1, score, standard_error


def indices(*values):
    return np.array(values, dtype=np.int64)


def test_accuracy_by_hand():
    assert accuracy(indices(0, 1, 1, 0), indices(0, 1, 0, 0)) == 0.75


def test_macro_f1_by_hand():
    # Class 0: TP 2, FP 0, FN 1 -> 4/5. Class 1: TP 1, FP 1, FN 0 -> 2/3.
    assert macro_f1(indices(0, 1, 1, 0), indices(0, 1, 0, 0)) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_macro_f1_of_a_class_without_a_hit_is_zero():
    # Class 1 occurs and is never predicted; class 0: TP 3, FP 1 -> 6/7.
    assert macro_f1(indices(0, 0, 0, 0), indices(0, 0, 0, 1)) == pytest.approx((6 / 7 + 0) / 2)


def test_macro_f1_leaves_out_a_class_that_occurs_nowhere():
    assert macro_f1(indices(0, 2), indices(0, 2)) == 1.0


def test_macro_f1_counts_a_class_that_is_only_predicted():
    # Class 0: TP 1, FN 1 -> 2/3; class 2 is predicted without ever being right -> 0.
    assert macro_f1(indices(0, 2), indices(0, 0)) == pytest.approx(1 / 3)


def test_scores_do_not_depend_on_the_order_of_examples():
    random = np.random.default_rng(0)
    predicted, actual = random.integers(0, 4, 200), random.integers(0, 4, 200)
    order = random.permutation(200)
    assert accuracy(predicted, actual) == accuracy(predicted[order], actual[order])
    assert macro_f1(predicted, actual) == macro_f1(predicted[order], actual[order])


def test_standard_error_by_hand():
    assert standard_error(0.5, 100) == 0.05
    assert standard_error(0.87, 600) == pytest.approx(0.01373, abs=1e-5)
    assert standard_error(1.0, 10) == 0.0


def test_log_probabilities_are_normalised_and_survive_large_logits():
    logits = np.array([[1000.0, 0.0], [-1.0, 1.0]], dtype=np.float32)
    result = log_probabilities(logits)
    assert np.exp(result).sum(axis=1) == pytest.approx([1.0, 1.0])
    assert result[0].tolist() == [0.0, -1000.0]


def test_score_by_hand():
    logits = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=np.float32)
    metrics = score(logits, indices(0, 0, 0))
    right, wrong = math.log1p(math.exp(-2)), math.log1p(math.exp(2))
    assert metrics.accuracy == pytest.approx(2 / 3)
    assert metrics.loss == pytest.approx((right + wrong + math.log(2)) / 3)
    assert metrics.num_examples == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_has_no_score(bad):
    with pytest.raises(TrainingFailed) as caught:
        score(np.array([[bad, 0.0]], dtype=np.float32), indices(0))
    assert caught.value.code == "evaluation-not-finite"
