"""A late update counts once more, with less weight, and changes nothing where there is none."""

import pytest

from fedmodels.protocol.salvage import discounted, salvageable, staleness, staleness_discount
from tests.fedmodels.protocol.builders import recipe_for, record

SALVAGING = recipe_for("abc", salvage={"exponent": 0.5})


def test_only_who_was_missing_in_the_last_round_is_salvaged():
    first = record(1, "b", {"a": "late"})
    last = record(2, "b", {"a": "update-not-finite", "c": "session-died", "d": "late-after-resume"})
    assert salvageable([first, last], SALVAGING) == ("c", "d")
    assert salvageable([first], SALVAGING) == ("a",)
    assert salvageable([], SALVAGING) == ()
    assert salvageable([first], recipe_for("abc")) == (), "salvage: null"


def test_staleness_counts_models_that_passed():
    assert staleness([]) == 0
    assert staleness([record(1)]) == 1
    assert staleness([record(1), record(2, outcome="gate-refused")]) == 0


@pytest.mark.parametrize(("tau", "exponent", "factor"), [(0, 0.5, 1), (3, 0.5, 0.5), (1, 1, 0.5), (1, 0, 1)])
def test_the_papers_polynomial(tau, exponent, factor):
    assert staleness_discount(tau, exponent) == factor


def test_weights_by_hand():
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    found = discounted(shares, {"c": 0.5})
    assert found == pytest.approx({"a": 0.5 / 0.9, "b": 0.3 / 0.9, "c": 0.1 / 0.9})
    assert sum(found.values()) == pytest.approx(1.0)


def test_without_a_discount_not_a_bit_changes():
    shares = {"a": 0.1, "b": 0.2, "c": 0.7000000000000001}
    assert discounted(shares, {}) == shares
    assert discounted(shares, {"a": 1.0}) == shares


def test_a_party_alone_keeps_all_the_weight():
    assert discounted({"a": 1.0}, {"a": 0.25}) == {"a": 1.0}
