"""The draw: its size, its laws, and numbers written out so that no version of Python changes them."""

from collections import Counter

import pytest

from fedmodels.protocol.cohort import draw_cohort

TEN = [f"shop-{letter}" for letter in "abcdefghij"]


def test_everybody():
    assert draw_cohort(["b", "a"], 1.0, 1, seed=42, round_number=1) == ("a", "b")


@pytest.mark.parametrize(
    ("fraction", "minimum", "size"),
    [(0.5, 1, 5), (0.29, 1, 2), (0.3, 1, 3), (0.7, 1, 7), (0.01, 2, 2), (0.01, 1, 1), (0.5, 99, 10)],
)
def test_its_size(fraction, minimum, size):
    assert len(draw_cohort(TEN, fraction, minimum, seed=1, round_number=1)) == size


def test_the_same_draw_everywhere():
    assert draw_cohort(TEN, 0.3, 2, seed=42, round_number=1) == ("shop-b", "shop-f", "shop-h")


def test_neither_order_nor_repetition_matters():
    assert draw_cohort(TEN[::-1] + TEN, 0.4, 2, 7, 3) == draw_cohort(TEN, 0.4, 2, 7, 3)


def test_seed_and_round_matter():
    assert len({draw_cohort(TEN, 0.3, 2, seed, 1) for seed in range(20)}) > 10
    assert len({draw_cohort(TEN, 0.3, 2, 42, number) for number in range(20)}) > 10


def test_over_many_rounds_everyone_has_the_same_share():
    seen = Counter(party for number in range(2000) for party in draw_cohort(TEN, 0.3, 2, 42, number))
    assert all(abs(seen[party] - 600) < 90 for party in TEN)  # binomial: standard deviation 20


def test_a_newcomer_changes_nobodys_rank():
    before = draw_cohort(TEN, 0.3, 3, 42, 1)
    after = draw_cohort([*TEN, "shop-z"], 0.3, 3, 42, 1)
    assert set(after) <= {*before, "shop-z"}
