"""The whole check: what it refuses, what leaves the party, how often it is wrong, and what it finds."""

import dataclasses
import json

import numpy as np
import pytest

from bench.drift_data import KINDS, SHIFTS, World, draw_rows, without_embeddings
from fedmodels.errors import DataRefused, InputError
from validation.drift.columns import Scored
from validation.drift.comparing import compare
from validation.drift.findings import Measure, Measured, judge
from validation.drift.policy import DriftPolicy
from validation.drift.reference import Reference, build_reference

POLICY = DriftPolicy()
SHIFTED = World(delivery_mean=5.5, brand_slope=0.5, positive=0.5, missing=0.08, words=20.0, loss_factor=1.3)
ROWS = 500


def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def reference():
    return build_reference(draw_rows(World(), 2 * ROWS, rng(0)), KINDS, POLICY, rng(0))


def check(reference, fresh, seed=1):
    return compare(reference, fresh, POLICY, rng(seed))


def test_without_a_reference_nothing_is_compared():
    with pytest.raises(InputError) as refused:
        check(None, draw_rows(World(), ROWS, rng(1)))
    assert refused.value.code == "drift-no-reference"
    assert str(refused.value).count(".") == 1


def test_a_feature_that_fresh_data_lack_is_named(reference):
    fresh = draw_rows(World(), ROWS, rng(1))
    del fresh["price"], fresh["text"]
    with pytest.raises(DataRefused) as refused:
        check(reference, fresh)
    assert refused.value.code == "drift-feature-missing"
    assert "no column for price, text" in str(refused.value)


def test_labels_may_come_later_and_for_fewer_rows(reference):
    fresh = draw_rows(World(), ROWS, rng(1))
    fresh["loss"] = fresh["loss"][:120]
    del fresh["label"], fresh["calibration"]
    report = check(reference, fresh)
    assert report.not_checked == ("label", "calibration")
    assert {finding.feature: finding.rows for finding in report.findings}["loss"] == 120


def test_no_feature_at_all_is_no_check(reference):
    only_labels = build_reference(draw_rows(World(), ROWS, rng(0)), {"loss": "loss"}, POLICY, rng(0))
    with pytest.raises(DataRefused) as refused:
        check(only_labels, {})
    assert refused.value.code == "drift-feature-missing"


def test_fewer_rows_than_the_tests_can_use(reference):
    with pytest.raises(DataRefused) as refused:
        check(reference, draw_rows(World(), 80, rng(1)))
    assert refused.value.code == "drift-too-few-values"


def test_the_same_seed_gives_the_same_report(reference):
    fresh = draw_rows(World(new_cluster=0.1), ROWS, rng(1))
    assert check(reference, fresh, seed=3) == check(reference, fresh, seed=3)


def test_the_report_is_json_and_holds_no_value(reference):
    fresh = draw_rows(World(new_brand=0.5, unknown_words=0.5), ROWS, rng(1))
    written = json.dumps(dataclasses.asdict(check(reference, fresh)), allow_nan=False)
    for value in ("brand-new", "brand-1", "word1", "positive"):
        assert value not in written


@pytest.mark.parametrize("shift", SHIFTS)
def test_each_shift_is_found_in_its_feature_alone(reference, shift):
    feature, world = SHIFTS[shift]
    # The kernel takes most of the time, so that only its own shift pays for it.
    held = reference if feature == "embedding" else Reference(without_embeddings(reference.profiles))
    for draw in range(3):
        report = check(held, draw_rows(world, ROWS, rng(10 + draw)))
        assert report.drifted_features == (feature,)
        assert report.drifted
        sentence = next(each.sentence for each in report.findings if each.drifted)
        assert sentence.startswith(f"{feature} has drifted: ")


def test_false_alarms_stay_below_the_nominal_level():
    kinds = {name: kind for name, kind in KINDS.items() if kind != "embedding"}
    alarms = significant = 0
    for draw in range(100):
        source = rng(draw)
        kept, fresh = (without_embeddings(draw_rows(World(), 120, source)) for _ in range(2))
        report = compare(build_reference(kept, kinds, POLICY, source), fresh, POLICY, source)
        alarms += report.drifted
        significant += any(one.adjusted_p < 0.01 for each in report.findings for one in each.measures)
    assert alarms <= 4  # at 1 %, five or more come once in 300 such tests
    assert significant <= 4


def test_rows_that_come_in_groups_are_worth_fewer():
    kinds = {"label": "label", "delivery_days": "number", "loss": "loss", "calibration": "calibration"}
    alarms = {1.0: 0, 8.0: 0}
    for draw in range(40):
        source = rng(draw)
        kept, fresh = (
            {name: _grouped(draw_rows(World(), 30, source)[name]) for name in kinds} for _ in range(2)
        )
        for design_effect in alarms:
            policy = DriftPolicy(design_effect=design_effect)
            reference = build_reference(kept, kinds, policy, rng(draw))
            alarms[design_effect] += compare(reference, fresh, policy, rng(draw)).drifted
    assert alarms[1.0] > 20  # 30 independent groups pass for 240 rows
    assert alarms[8.0] <= 3


def _grouped(values):
    if isinstance(values, Scored):
        return Scored(_grouped(values.confidence), _grouped(values.correct))
    return np.repeat(values, 8, axis=0)


def test_the_design_effect_costs_power_and_leaves_the_effect():
    kinds = {name: kind for name, kind in KINDS.items() if name != "embedding"}
    kept, fresh = draw_rows(World(), 1000, rng(0)), draw_rows(SHIFTED, 500, rng(1))
    reports = []
    for design_effect in (1.0, 4.0):
        policy = DriftPolicy(design_effect=design_effect)
        reports.append(compare(build_reference(kept, kinds, policy, rng(0)), fresh, policy, rng(0)))
    pairs = zip(
        *((one for each in report.findings for one in each.measures) for report in reports), strict=True
    )
    for plain, worth_less in pairs:
        assert worth_less.effect == pytest.approx(plain.effect, abs=0.01)
        if plain.p_value < 0.01:
            assert worth_less.p_value > plain.p_value or worth_less.name == "calibration"


def measured(name, *measures):
    return Measured(name, "number", 200, measures)


def test_a_verdict_needs_both_significance_and_effect():
    strong = Measure("psi", "chi_squared", 90.0, 1e-9, 0.5, 0.2)
    report = judge(
        [
            measured("both", strong),
            measured("tiny", dataclasses.replace(strong, effect=0.1)),
            measured("unsure", dataclasses.replace(strong, p_value=0.02)),
        ],
        alpha=0.01,
    )
    assert report.drifted_features == ("both",)
    assert [finding.sentence for finding in report.findings] == [
        "both has drifted: PSI is 0.500, above 0.2 (p < 0.0001), over 200 rows.",
        "tiny has not drifted: PSI is 0.100, within 0.2, over 200 rows.",
        "unsure has not drifted: PSI is 0.500, above 0.2, and not significant at 0.01 (p = 0.0200), "
        "over 200 rows.",
    ]


def test_measures_of_one_test_are_corrected_for_once():
    ks = Measure("ks", "kolmogorov_smirnov", 0.3, 0.004, 0.3, 0.2)
    report = judge(
        [measured("a", ks, dataclasses.replace(ks, name="wasserstein", effect=0.6, bound=0.5))], 0.01
    )
    assert report.tests == 1
    assert [each.adjusted_p for each in report.findings[0].measures] == [0.004, 0.004]
    two = judge([measured("a", ks), measured("b", dataclasses.replace(ks, p_value=0.9))], 0.01)
    assert two.findings[0].measures[0].adjusted_p == pytest.approx(0.008)
