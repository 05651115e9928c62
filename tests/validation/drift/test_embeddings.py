"""MMD against its definition, and its permutation test by level, power and repeatability."""

import numpy as np
import pytest

from fedmodels.errors import DataRefused
from validation.drift.embeddings import (
    measure_embeddings,
    mmd_squared,
    permutation_test,
    profile_embeddings,
    rbf_kernel,
)
from validation.drift.policy import DriftPolicy

POLICY = DriftPolicy(min_rows=20)


def normal(rows, width=8, seed=0, shift=0.0):
    return (np.random.default_rng(seed).standard_normal((rows, width)) + shift).astype(np.float32)


def measure(reference, fresh, resamples=999, seed=0, policy=POLICY):
    rng = np.random.default_rng(seed)
    profile = profile_embeddings("text", reference, policy, rng)
    return measure_embeddings("text", profile, fresh, policy, resamples, rng)


def test_the_kernel_is_the_median_heuristic():
    rows = normal(12)
    squares = ((rows[:, None, :].astype(float) - rows[None]) ** 2).sum(axis=2)
    scale = np.median(squares[np.triu_indices(12, 1)])
    expected = np.exp(-squares / (2 * scale))
    np.fill_diagonal(expected, 0.0)
    assert np.allclose(rbf_kernel(rows), expected, atol=1e-5)


def test_the_estimate_is_that_of_the_definition():
    kernel = rbf_kernel(normal(15))
    sides = np.zeros((15, 1), np.float32)
    sides[:6] = 1
    pairs = [kernel[i, j] for i in range(6) for j in range(6) if i != j]
    fresh = [kernel[i, j] for i in range(6, 15) for j in range(6, 15) if i != j]
    across = [kernel[i, j] for i in range(6) for j in range(6, 15)]
    by_definition = np.mean(pairs) + np.mean(fresh) - 2 * np.mean(across)
    assert mmd_squared(kernel, sides)[0] == pytest.approx(by_definition, abs=1e-6)


def test_it_is_unbiased():
    found = [
        measure(normal(40, seed=2 * n), normal(30, seed=2 * n + 1), 1)[1][0].statistic for n in range(200)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
    assert 0.3 < np.mean(np.array(found) < 0) < 0.75


def test_the_level_of_the_permutation_test():
    p_values = [
        measure(normal(30, seed=2 * n), normal(30, seed=2 * n + 1), 99)[1][0].p_value for n in range(300)
    ]
    assert 0.02 < np.mean(np.array(p_values) <= 0.05) < 0.09
    assert 0.4 < np.mean(np.array(p_values) <= 0.5) < 0.6


def test_a_shift_is_found_at_the_least_p_value():
    rows, found = measure(normal(200), normal(150, seed=1, shift=1.0))
    assert (rows, len(found)) == (150, 1)
    assert found[0].p_value == 1 / 1000
    assert found[0].effect > 0.1


def test_the_effect_knows_neither_scale_nor_place():
    reference, fresh = normal(200), normal(200, seed=1, shift=0.5)
    plain = measure(reference, fresh)[1][0].effect
    scaled = measure(reference * 40 + 3, fresh * 40 + 3)[1][0].effect
    assert scaled == pytest.approx(plain, rel=1e-3)


def test_the_same_seed_gives_the_same_answer():
    policy = DriftPolicy(embedding_rows=50)
    reference, fresh = normal(300), normal(300, seed=1, shift=0.2)
    assert measure(reference, fresh, seed=7, policy=policy) == measure(
        reference, fresh, seed=7, policy=policy
    )
    assert measure(reference, fresh, seed=7, policy=policy) != measure(
        reference, fresh, seed=8, policy=policy
    )
    assert measure(reference, fresh, seed=7, policy=policy)[0] == 50


def test_rows_that_are_all_equal_are_no_drift():
    same = np.ones((50, 4), np.float32)
    found = measure(same, same)[1][0]
    assert (found.effect, found.p_value) == (0.0, 1.0)
    moved = measure(same, same * 2)[1][0]
    assert moved.effect > POLICY.embedding
    assert moved.p_value < 0.01


def test_it_stops_early_without_drift():
    kernel = rbf_kernel(normal(60))
    _, p = permutation_test(kernel, 30, 10_000_000, np.random.default_rng(0))  # all of them would take hours
    assert p > 0.0001


def test_another_width_is_refused():
    with pytest.raises(DataRefused) as refused:
        measure(normal(50, width=8), normal(50, width=6))
    assert refused.value.code == "drift-wrong-type"
    assert "width 6, and its reference 8" in str(refused.value)
