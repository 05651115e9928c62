"""Paired statistics against hand counts, against the definition, and by their coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.release.paired import accuracy_interval, compare, mcnemar_p_value, mean_interval


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [
        (0, 0, 1.0),
        (0, 1, 1.0),
        (0, 5, 2 / 32),
        (1, 5, 2 * (1 + 6) / 64),
        (5, 5, 1.0),
        (10, 0, 2 / 1024),
    ],
)
def test_mcnemar_by_hand(lost, won, p):
    assert mcnemar_p_value(lost, won) == pytest.approx(p)
    assert mcnemar_p_value(won, lost) == mcnemar_p_value(lost, won)


def test_mcnemar_of_thousands_of_rows_is_still_a_number():
    assert mcnemar_p_value(5000, 5000) == 1.0
    assert mcnemar_p_value(4900, 5100) == pytest.approx(0.0466, abs=2e-4)  # by the normal approximation
    assert mcnemar_p_value(0, 5000) == 0.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_a_probability_that_falls_as_the_two_part(lost, won):
    p = mcnemar_p_value(lost, won)
    assert 0.0 < p <= 1.0
    assert mcnemar_p_value(min(lost, won), max(lost, won) + 1) <= p + 1e-12


def test_half_a_point_on_600_rows_is_within_the_noise():
    first = np.ones(600, dtype=bool)
    second = first.copy()
    first[:20] = False
    second[17:40] = False
    found = compare(first, second, rng())
    assert (found.rows, found.lost, found.won) == (600, 20, 17)
    assert found.accuracy.difference == pytest.approx(-0.005)
    assert found.accuracy.lower < -0.02
    assert found.accuracy.upper > 0.01
    assert found.p_value > 0.7


def test_the_counted_bootstrap_is_the_bootstrap_of_rows():
    differences = np.repeat([1.0, -1.0, 0.0], [30, 18, 552])
    counted = accuracy_interval(18, 30, 600, rng(), draws=20_000)
    drawn = mean_interval(differences, rng(), draws=20_000)
    assert counted.difference == pytest.approx(drawn.difference)
    assert counted.lower == pytest.approx(drawn.lower, abs=0.002)
    assert counted.upper == pytest.approx(drawn.upper, abs=0.002)


def test_the_same_seed_draws_the_same_interval():
    assert accuracy_interval(5, 9, 100, rng(3)) == accuracy_interval(5, 9, 100, rng(3))
    assert mean_interval(np.arange(9.0), rng(3)) == mean_interval(np.arange(9.0), rng(3))


def test_what_was_not_seen_is_not_taken_for_impossible():
    nothing = accuracy_interval(0, 0, 20, rng())
    assert nothing.difference == 0.0
    assert nothing.lower == pytest.approx(-(1 - 0.025 ** (1 / 20)))
    assert nothing.upper == -nothing.lower
    assert accuracy_interval(0, 0, 2000, rng()).lower == pytest.approx(-math.log(40) / 2000, rel=0.01)
    assert accuracy_interval(1, 0, 20, rng()).upper > 0.0


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator, covered = rng(7), 0
    for _ in range(400):
        lost, won, _neither = generator.multinomial(300, [0.08, 0.05, 0.87])
        found = accuracy_interval(int(lost), int(won), 300, generator, draws=1000)
        covered += found.lower <= -0.03 <= found.upper
    assert 0.92 <= covered / 400 <= 0.98


def test_a_mean_over_more_rows_than_are_held_at_once(monkeypatch):
    monkeypatch.setattr("validation.release.paired._MOST_INDICES", 250)
    found = mean_interval(rng(1).normal(0.2, 1.0, 100), rng(), draws=999)
    assert found.lower < found.difference < found.upper
    assert found.upper - found.lower == pytest.approx(2 * 1.96 / 10, rel=0.2)


def test_in_words():
    assert accuracy_interval(0, 0, 100_000, rng()).in_words() == ("+0.0000, 95 % interval +0.0000 to +0.0000")
