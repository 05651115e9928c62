"""p-values against scipy.stats, Holm by hand, and the laws of pooling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from validation.drift.significance import (
    LEAST_EXPECTED,
    chi_squared,
    holm,
    kolmogorov_smirnov,
    mean_rise,
    pool_rare,
    resamples_for,
    share_change,
    share_rise,
)

rows_of_counts = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=12).filter(
    lambda pairs: sum(a for a, _ in pairs) > 0 and sum(b for _, b in pairs) > 0
)


def counts(*values):
    return np.array(values, dtype=np.int64)


def test_chi_squared_is_that_of_scipy():
    reference, fresh = counts(30, 14, 34), counts(45, 57, 20)
    expected = stats.chi2_contingency(np.stack([reference, fresh]), correction=False)
    assert chi_squared(reference, fresh) == pytest.approx((expected.statistic, expected.pvalue))


def test_one_cell_has_nothing_to_differ_in():
    assert chi_squared(counts(50), counts(70)) == (0.0, 1.0)


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("rows", [(97, 113), (2000, 300)])
def test_kolmogorov_smirnov_is_close_to_the_exact_test(shift, rows):
    rng = np.random.default_rng(3)
    found = stats.ks_2samp(rng.normal(size=rows[0]), rng.normal(shift, 1, rows[1]), method="exact")
    assert kolmogorov_smirnov(found.statistic, *rows) == pytest.approx(found.pvalue, rel=0.1)


@pytest.mark.parametrize("table", [(0, 50, 3, 60), (4, 900, 9, 400), (30, 100, 30, 100), (50, 50, 20, 21)])
def test_share_rise_is_fishers_exact_test(table):
    hits, rows, fresh_hits, fresh_rows = table
    cells = [[fresh_hits, fresh_rows - fresh_hits], [hits, rows - hits]]
    assert share_rise(*table) == pytest.approx(stats.fisher_exact(cells, alternative="greater").pvalue)


def test_share_change_sees_both_directions():
    rise, fall = share_change(10, 1000, 60, 1000), share_change(60, 1000, 10, 1000)
    assert rise == pytest.approx(fall)
    assert rise < 1e-6
    assert share_change(10, 100, 10, 100) == 1.0


def test_mean_rise_is_welchs_test():
    rng = np.random.default_rng(5)
    before, after = rng.gamma(1, 1, 80), rng.gamma(1, 1.4, 200)
    p = mean_rise(after.mean() - before.mean(), before.var(ddof=1), after.var(ddof=1), 80, 200)
    assert p == pytest.approx(stats.ttest_ind(after, before, equal_var=False, alternative="greater").pvalue)


def test_without_any_variance_every_rise_is_certain():
    assert mean_rise(0.1, 0.0, 0.0, 10, 10) == 0.0
    assert mean_rise(0.0, 0.0, 0.0, 10, 10) == 1.0


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.02]) == pytest.approx((0.04, 0.03, 0.04))
    assert holm([0.5, 0.6]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_only_raises_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= min(1, len(p_values) * p) + 1e-12 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= 0)


@given(rows_of_counts)
def test_pooling_loses_no_row_and_leaves_no_rare_cell(pairs):
    reference, fresh = counts(*(a for a, _ in pairs)), counts(*(b for _, b in pairs))
    pooled = pool_rare(reference, fresh)
    assert [side.sum() for side in pooled] == [reference.sum(), fresh.sum()]
    totals = pooled[0] + pooled[1]
    expected = totals * min(reference.sum(), fresh.sum()) / totals.sum()
    assert len(totals) == 1 or expected.min() >= LEAST_EXPECTED - 1e-9


@given(rows_of_counts)
def test_pooling_does_not_know_the_sides(pairs):
    reference, fresh = counts(*(a for a, _ in pairs)), counts(*(b for _, b in pairs))
    swapped = pool_rare(fresh, reference)
    assert [side.tolist() for side in pool_rare(reference, fresh)] == [
        side.tolist() for side in swapped[::-1]
    ]


def test_pooling_by_hand():
    pooled = pool_rare(counts(40, 2, 50, 1), counts(40, 3, 50, 5))
    assert [side.tolist() for side in pooled] == [[40, 50, 3], [40, 50, 8]]
    pooled = pool_rare(counts(40, 20, 1), counts(40, 20, 1))  # the pool of one row takes the next cell in
    assert [side.tolist() for side in pooled] == [[40, 21], [40, 21]]


def test_resampling_can_reach_what_holm_asks_for():
    for tests in (1, 8, 100):
        assert 1 / (resamples_for(tests, 0.01) + 1) < 0.01 / tests
