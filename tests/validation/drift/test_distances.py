"""Distances by hand, against scipy.stats, and by their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from validation.drift.distances import (
    MOST_SPREADS,
    distribution_distances,
    in_spreads,
    population_stability_index,
    total_variation,
)

samples = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=30).map(
    lambda values: np.sort(np.array(values))
)
cells = st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(lambda values: sum(values) > 0)


def counts(*values):
    return np.array(values, dtype=np.int64)


def test_psi_by_hand():
    # 1,000,000 rows each: half a row and the correction are beyond the digits that are compared.
    reference, fresh = counts(500_000, 500_000), counts(700_000, 300_000)
    by_hand = 0.2 * math.log(0.7 / 0.5) - 0.2 * math.log(0.3 / 0.5)
    assert population_stability_index(reference, fresh) == pytest.approx(by_hand, abs=1e-5)


def test_psi_of_an_empty_cell_is_finite_and_of_one_cell_zero():
    assert 1 < population_stability_index(counts(100, 100), counts(200, 0)) < 10
    assert population_stability_index(counts(100), counts(50)) == 0.0


def test_psi_without_change_is_about_zero_on_average_even_on_few_rows():
    rng = np.random.default_rng(0)
    p = np.full(10, 0.1)
    found = [population_stability_index(rng.multinomial(100, p), rng.multinomial(100, p)) for _ in range(500)]
    assert np.mean(found) < 0.05  # uncorrected it would be 0.18
    assert np.quantile(found, 0.95) < 0.2


@given(cells)
def test_nothing_is_apart_from_itself(values):
    assert population_stability_index(counts(*values), counts(*values)) == 0.0
    assert total_variation(counts(*values), counts(*values)) == 0.0


def test_total_variation_by_hand():
    assert total_variation(counts(60, 40), counts(2, 8)) == pytest.approx(0.4)
    assert total_variation(counts(1, 0), counts(0, 1)) == 1.0


def test_a_change_in_spreads_is_finite():
    assert in_spreads(3.0, 2.0) == 1.5
    assert in_spreads(0.0, 0.0) == 0.0
    assert in_spreads(1.0, 1e-310) == in_spreads(1.0, 0.0) == MOST_SPREADS


@given(samples, samples)
def test_both_distances_are_those_of_scipy(reference, fresh):
    ks, moved = distribution_distances(reference, fresh)
    assert ks == pytest.approx(stats.ks_2samp(reference, fresh, method="asymp").statistic, abs=1e-12)
    assert moved == pytest.approx(stats.wasserstein_distance(reference, fresh), rel=1e-9, abs=1e-9)


@given(samples, samples)
def test_distances_are_symmetric_and_bounded(reference, fresh):
    there, back = distribution_distances(reference, fresh), distribution_distances(fresh, reference)
    assert there == pytest.approx(back)
    assert 0 <= there[0] <= 1
    assert there[1] >= 0


@given(samples, st.floats(0.1, 100))
def test_a_shift_moves_every_row_by_itself(reference, shift):
    assert distribution_distances(reference, reference + shift)[1] == pytest.approx(shift, rel=1e-6)
