"""Loss and calibration: only a rise is drift, and few rows do not pass for a bad calibration."""

import numpy as np
import pytest

from fedmodels.row_scores import expected_calibration_error
from validation.drift.columns import Scored
from validation.drift.outcomes import (
    CalibrationProfile,
    calibration_error,
    measure_calibration,
    measure_losses,
    profile_calibration,
    profile_losses,
)
from validation.drift.policy import DriftPolicy

POLICY = DriftPolicy(min_rows=20)


def loss(reference, fresh):
    return measure_losses("loss", profile_losses("loss", reference, POLICY), fresh, POLICY)[1][0]


def calibration(reference, fresh, resamples=1999):
    profile = profile_calibration("scores", reference, POLICY)
    return measure_calibration("scores", profile, fresh, POLICY, resamples, np.random.default_rng(0))[1][0]


def scored(seed, rows, overclaim=0.0):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 0.9, rows)
    return Scored(truth + overclaim, rng.random(rows) < truth)


def test_a_rise_of_the_loss_by_hand():
    found = loss(np.tile([0.0, 2.0], 50), np.tile([1.0, 3.0], 50))
    assert found.effect == pytest.approx(1 / np.sqrt(100 / 99))  # a rise of 1 at a sample deviation of 1.005
    assert found.p_value < 1e-8


def test_a_fall_of_the_loss_is_no_drift():
    found = loss(np.tile([1.0, 3.0], 50), np.tile([0.0, 2.0], 50))
    assert found.effect == 0.0
    assert found.p_value > 0.99


@pytest.mark.parametrize(("after", "effect", "p"), [(1.0, 0.0, 1.0), (2.0, 1.0, 0.0), (0.5, 0.0, 1.0)])
def test_a_loss_that_is_constant(after, effect, p):
    found = loss(np.full(50, 1.0), np.full(50, after))
    assert (found.effect, found.p_value) == (effect, p)


def test_the_calibration_error_by_hand():
    # Bin of 0.9: accuracy 0.5, 4 rows, off by 0.4. Bin of 0.5: accuracy 1, 6 rows, off by 0.5.
    rows = Scored(np.repeat([0.9, 0.5], [40, 60]), np.repeat([True, False, True], [20, 20, 60]))
    profile = profile_calibration("scores", rows, POLICY)
    assert calibration_error(profile) == pytest.approx(0.4 * 0.4 + 0.6 * 0.5)


def test_certainty_has_a_bin():
    rows = Scored(np.ones(30), np.ones(30, bool))
    profile = profile_calibration("scores", rows, POLICY)
    assert isinstance(profile, CalibrationProfile)
    assert calibration_error(profile) == 0.0
    assert calibration(rows, rows).p_value == 1.0


def test_few_fresh_rows_are_not_taken_for_bad_calibration():
    found = [calibration(scored(2 * n, 2000), scored(2 * n + 1, 60), 199) for n in range(200)]
    assert np.mean([each.statistic for each in found]) > 0.05  # the plain rise of ECE, beyond the bound
    assert np.mean([each.effect > POLICY.calibration for each in found]) < 0.2
    assert np.mean([each.p_value < 0.05 for each in found]) < 0.09


def test_claiming_too_much_is_drift_and_claiming_rightly_is_a_cure():
    found = calibration(scored(0, 1000), scored(1, 500, overclaim=0.1))
    assert found.effect == pytest.approx(0.09, abs=0.03)
    assert found.p_value == 1 / 2000
    cured = calibration(scored(0, 1000, overclaim=0.1), scored(1, 500))
    assert cured.effect == 0.0
    assert cured.p_value > 0.5


def test_it_is_the_calibration_error_of_the_release_gate_on_every_edge_too():
    edges = np.arange(16) / 15
    rows = Scored(np.repeat(edges, 3), np.tile([True, False, False], 16))
    profile = profile_calibration("scores", rows, POLICY)
    expected = expected_calibration_error(rows.confidence, rows.correct)
    assert calibration_error(profile) == pytest.approx(expected, abs=1e-12)
