"""Numbers: their bins, what a shift does to each measure, and the awkward columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.drift.numbers import bin_counts, measure_numbers, profile_numbers, quantile_edges
from validation.drift.policy import DriftPolicy

POLICY = DriftPolicy()
columns = st.builds(
    lambda seed, rows, kinds: np.random.default_rng(seed).integers(-kinds, kinds + 1, rows).astype(float),
    seed=st.integers(0, 2**32),
    rows=st.integers(100, 130),
    kinds=st.integers(0, 40),
)


def measures(reference, fresh, policy=POLICY):
    profile = profile_numbers("price", reference, policy, np.random.default_rng(0))
    rows, found = measure_numbers("price", profile, fresh, policy)
    assert rows == np.count_nonzero(~np.isnan(fresh))
    return {each.name: each for each in found}


def test_bins_are_equally_full():
    present = np.arange(1, 101, dtype=float)
    edges = quantile_edges(present, 4)
    assert edges.tolist() == [25.0, 50.0, 75.0]
    assert bin_counts(present, edges).tolist() == [25, 25, 25, 25]


def test_a_number_that_fills_a_bin_gets_its_own():
    present = np.sort(np.concatenate([np.zeros(60), np.linspace(1, 40, 40), -np.ones(5)]))
    edges = quantile_edges(present, 5)
    assert 0.0 in edges
    below, at = bin_counts(present, edges)[:2]
    assert (below, at) == (5, 60)


@given(columns, st.integers(3, 12))
def test_every_row_is_in_one_bin(values, bins):
    present = np.sort(values)
    edges = quantile_edges(present, bins)
    assert np.all(np.diff(edges) > 0)
    assert bin_counts(present, edges).sum() == len(present)


def test_half_a_standard_deviation_is_about_the_bound_of_each_measure():
    rng = np.random.default_rng(1)
    found = measures(rng.normal(0, 1, 50_000), rng.normal(0.5, 1, 50_000))
    assert found["ks"].effect == pytest.approx(0.197, abs=0.01)  # 2 Φ(1/4) - 1
    assert found["wasserstein"].effect == pytest.approx(0.5, abs=0.02)
    assert found["psi"].effect == pytest.approx(0.25, abs=0.03)
    assert all(found[name].p_value < 1e-10 for name in ("ks", "psi", "wasserstein"))


def test_a_tiny_shift_of_many_rows_is_significant_and_far_from_the_bound():
    rng = np.random.default_rng(2)
    found = measures(rng.normal(0, 1, 100_000), rng.normal(0.1, 1, 100_000))
    assert found["ks"].p_value < 1e-6
    assert all(each.effect < each.bound / 2 for each in found.values())


@given(columns, columns, st.floats(0.5, 8), st.floats(-50, 50))
def test_another_unit_on_both_sides_changes_nothing(reference, fresh, factor, offset):
    before = measures(reference, fresh)
    after = measures(np.round(reference * factor + offset, 9), np.round(fresh * factor + offset, 9))
    for name, measure in before.items():
        assert after[name].effect == pytest.approx(measure.effect, rel=1e-4, abs=1e-6)
        assert after[name].p_value == pytest.approx(measure.p_value, rel=1e-4, abs=1e-6)


@given(columns, columns)
def test_the_order_of_rows_means_nothing(reference, fresh):
    assert measures(reference, np.sort(fresh)) == measures(reference, fresh)


def test_a_constant_that_stays_has_no_drift():
    found = measures(np.full(200, 7.0), np.full(150, 7.0))
    assert {name: (each.effect, each.p_value) for name, each in found.items()} == {
        "psi": (0.0, 1.0),
        "ks": (0.0, 1.0),
        "wasserstein": (0.0, 1.0),
    }


@pytest.mark.parametrize("fresh", [8.0, 6.999, -1e100])
def test_a_constant_that_changes_is_drift_in_either_direction(fresh):
    found = measures(np.full(200, 7.0), np.full(150, fresh))
    for each in found.values():
        assert np.isfinite(each.effect)
        assert each.effect > each.bound
        assert each.p_value < 1e-10


def test_missing_numbers_are_their_own_measure():
    fresh = np.arange(1000.0)
    fresh[:400] = np.nan
    found = measures(np.arange(1000.0), fresh)
    assert found["missing"].effect == pytest.approx(0.4)
    assert found["missing"].p_value < 1e-10
    assert "missing" not in measures(np.arange(200.0), np.arange(200.0))


def test_a_long_column_keeps_a_sample_and_all_of_its_counts():
    policy = DriftPolicy(sample_rows=500)
    values = np.random.default_rng(3).normal(size=20_000)
    profile = profile_numbers("price", values, policy, np.random.default_rng(0))
    assert len(profile.sample) == 500
    assert np.isin(profile.sample, values).all()
    assert (profile.rows, profile.counts.sum()) == (20_000, 20_000)
    again = profile_numbers("price", values, policy, np.random.default_rng(0))
    assert np.array_equal(profile.sample, again.sample)
