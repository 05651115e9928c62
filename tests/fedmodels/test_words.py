"""Words that depend on a number."""

import pytest

from fedmodels.words import counted, short_number


@pytest.mark.parametrize(("number", "said"), [(0, "0 rounds"), (1, "1 round"), (2, "2 rounds")])
def test_one_is_not_many(number, said):
    assert counted(number, "round") == said


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.03333, "0.0333"), (0.5, "0.5"), (90_000_000, "90000000"), (0.0, "0"), (-0.05, "-0.05"), (10, "10")],
)
def test_a_number_has_no_place_that_says_nothing(value, words):
    assert short_number(value) == words


@pytest.mark.parametrize(
    ("noun", "said"), [("party", "2 parties"), ("day", "2 days"), ("retry", "2 retries")]
)
def test_a_word_that_ends_in_y_is_many_in_its_own_way(noun, said):
    assert counted(2, noun) == said
    assert counted(1, noun) == f"1 {noun}"
