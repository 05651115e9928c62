"""Categories and labels: mixes, new ones, rare ones by the thousand, and types that differ."""

import numpy as np
import pytest

from fedmodels.errors import DataRefused
from validation.drift.categories import measure_categories, profile_categories
from validation.drift.policy import DriftPolicy

POLICY = DriftPolicy()


def measures(reference, fresh, kind="category"):
    profile = profile_categories("brand", reference, POLICY, kind)
    return {each.name: each for each in measure_categories("brand", profile, fresh, POLICY)[1]}


def column(**rows):
    return [name for name, number in rows.items() for _ in range(number)]


def test_the_same_mix_has_no_drift():
    found = measures(column(a=500, b=300, c=200), column(a=50, b=30, c=20))
    assert found["psi"].effect == 0.0
    assert found["psi"].p_value == pytest.approx(1.0)
    assert found["new_category"].p_value == 1.0


def test_another_mix_is_drift():
    found = measures(column(a=500, b=300, c=200), column(a=200, b=300, c=500))
    assert found["psi"].effect > POLICY.psi
    assert found["psi"].p_value < 1e-10


def test_a_new_category_is_counted_against_the_reference():
    found = measures(column(a=500, b=500), column(a=450, b=450, new=100))["new_category"]
    assert found.effect == pytest.approx(0.1)
    assert found.p_value < 1e-10
    one = measures(column(a=500, b=500), column(a=500, b=499, new=1))["new_category"]
    assert one.p_value == pytest.approx(0.5)  # the one new row is of either side as likely


def test_where_new_categories_are_usual_they_are_no_drift():
    rng = np.random.default_rng(0)
    reference, fresh = rng.integers(0, 3000, 1000), rng.integers(0, 3000, 1000)
    found = measures(reference, fresh)
    assert np.isin(fresh, reference, invert=True).mean() > 0.5
    assert found["new_category"].effect < 0.1
    assert found["new_category"].p_value > 0.01
    assert found["psi"].p_value > 0.01


def test_the_level_holds_for_rare_categories():
    rng = np.random.default_rng(1)
    p_values = []
    for _ in range(300):
        draws = rng.zipf(1.5, (2, 400)) % 5000
        found = measures(draws[0], draws[1])
        p_values.append((found["psi"].p_value, found["new_category"].p_value))
    assert np.all(np.mean(np.array(p_values) < 0.05, axis=0) < 0.08)


def test_labels_are_judged_by_the_share_that_moved():
    found = measures(column(good=600, bad=400), column(good=40, bad=60), "label")
    assert found["label_shift"].effect == pytest.approx(0.2)
    assert "psi" not in found


def test_a_single_category_is_no_drift_until_another_comes():
    found = measures(column(a=200), column(a=300))
    assert (found["psi"].effect, found["psi"].p_value) == (0.0, 1.0)
    found = measures(column(a=200), column(b=300))
    assert found["psi"].p_value < 1e-10
    assert found["new_category"].effect == 1.0


def test_missing_categories_are_their_own_measure():
    found = measures(column(a=300), [*column(a=200), *[None] * 100])
    assert found["missing"].effect == pytest.approx(1 / 3)


def test_a_number_is_not_its_name():
    with pytest.raises(DataRefused) as refused:
        measures(column(a=200), [1] * 200)
    assert refused.value.code == "drift-wrong-type"
    assert str(refused.value).startswith("Feature brand holds int, and its reference str")
