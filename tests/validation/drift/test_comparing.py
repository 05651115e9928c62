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
from validation.drift.reference import Reference, build_reference, pack, reference_hash, unpack

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


@pytest.mark.parametrize("column", ["price", "brand", "text"])
def test_a_column_that_vanished_has_drifted_and_blinds_no_other(reference, column):
    held = Reference(without_embeddings(reference.profiles))
    fresh = draw_rows(World(), ROWS, rng(1))
    fresh["delivery_days"] = fresh["delivery_days"] + 1000.0
    del fresh[column]
    report = check(held, fresh)
    assert set(report.drifted_features) == {column, "delivery_days"}
    assert len(report.findings) == len(held.profiles)
    (missing,) = measures_of(report, column).values()
    assert (missing.name, missing.drifted) == ("missing", True)
    assert missing.effect == pytest.approx(1.0, abs=0.05)
    (finding,) = (each for each in report.findings if each.feature == column)
    assert finding.rows == 0
    assert finding.sentence.endswith("(p < 0.0001), and the fresh rows have no such column any more.")
    assert (report.not_checked, report.not_compared) == ((), ())


def test_values_that_are_no_number_are_told_with_their_share(reference):
    held = Reference(without_embeddings(reference.profiles))
    for strange, told in ((1, "1 of 500 values is no number."), (20, "20 of 500 values are no numbers.")):
        fresh = draw_rows(World(), ROWS, rng(1))
        fresh["price"] = np.where(np.arange(ROWS) < strange, np.nan, fresh["price"])
        report = compare(held, fresh, POLICY, rng(1), {"price": strange})
        (finding,) = (each for each in report.findings if each.feature == "price")
        assert not finding.drifted
        assert finding.sentence.endswith(f" rows; {told}")


def test_embeddings_that_were_not_handed_in_are_named_and_hold_up_no_other(reference):
    fresh = draw_rows(World(), ROWS, rng(1))
    del fresh["embedding"]
    report = check(reference, fresh)
    assert [(each.feature, each.sentence) for each in report.not_compared] == [
        ("embedding", "The fresh data have no column for embedding.")
    ]
    assert len(report.findings) == len(reference.profiles) - 1


def test_without_any_watched_column_nothing_is_compared(reference):
    watched = Reference({name: reference.profiles[name] for name in ("price", "brand")})
    with pytest.raises(DataRefused, match="none of the columns that are watched: price, brand") as refused:
        check(watched, {"colour": ["red"] * ROWS})
    assert refused.value.code == "drift-feature-missing"


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


def measures_of(report, feature):
    (found,) = (each for each in report.findings if each.feature == feature)
    return {each.name: each for each in found.measures}


@pytest.mark.parametrize("filled", [90, 0])
@pytest.mark.parametrize("column", ["price", "brand", "text"])
def test_a_column_that_is_filled_no_more_has_drifted_and_blinds_no_other(reference, column, filled):
    held = Reference(without_embeddings(reference.profiles))
    fresh = draw_rows(World(), ROWS, rng(1))
    other = "delivery_days" if column != "delivery_days" else "price"
    fresh[other] = fresh[other] + 1000.0
    fresh[column] = [*list(fresh[column])[:filled], *[None] * (ROWS - filled)]
    report = check(held, fresh)
    assert set(report.drifted_features) == {column, other}
    missing = measures_of(report, column)
    assert missing.keys() == {"missing"}
    assert missing["missing"].effect == pytest.approx(1 - filled / ROWS, abs=0.05)
    (finding,) = (each for each in report.findings if each.feature == column)
    assert f"{filled} rows with a value are too few to compare" in finding.sentence
    assert set(measures_of(report, other)) >= {"psi", "ks"}
    assert report.not_compared == ()


def test_a_column_that_was_always_sparse_has_not_drifted():
    source = rng(0)

    def sparse():
        return np.where(source.random(ROWS) < 0.2, source.normal(size=ROWS), np.nan)

    policy = DriftPolicy(min_rows=90)
    held = build_reference(
        {"price": np.concatenate([sparse(), sparse()])}, {"price": "number"}, policy, source
    )
    fresh = sparse()
    fresh[np.flatnonzero(~np.isnan(fresh))[80:]] = np.nan
    report = compare(held, {"price": fresh}, policy, source)
    assert not report.drifted
    assert measures_of(report, "price").keys() == {"missing"}


def test_what_the_reference_hardly_filled_is_left_out_with_a_sentence():
    kinds = {"price": "number", "brand": "category", "delivery_days": "number"}
    kept, fresh = draw_rows(World(), ROWS, rng(0)), draw_rows(World(), ROWS, rng(1))
    kept["price"] = np.where(np.arange(2 * ROWS) < 30, 1.0, np.nan)
    kept["brand"] = [None] * ROWS
    held = build_reference(kept, kinds, POLICY, rng(0))
    assert tuple(held.profiles) == ("delivery_days",)
    again = unpack(*pack(held))
    assert again.left_out == held.left_out
    assert reference_hash(again) == reference_hash(held)
    for one in (held, again):
        report = check(one, fresh)
        assert [each.feature for each in report.findings] == ["delivery_days"]
        assert [(each.feature, each.sentence) for each in report.not_compared] == [
            ("brand", "Of the reference: all 500 rows of feature brand lack a value."),
            ("price", "Of the reference: feature price has 30 rows with a value, and the tests need 100."),
        ]


def test_what_no_test_can_use_holds_up_no_other_feature(reference):
    held = Reference(without_embeddings(reference.profiles))
    fresh = draw_rows(World(), ROWS, rng(1))
    fresh["price"] = np.full(ROWS, np.inf)
    report = check(held, fresh)
    assert [each.feature for each in report.not_compared] == ["price"]
    assert "price" not in {each.feature for each in report.findings}
    assert len(report.findings) == len(held.profiles) - 1
    only = Reference({"price": held.profiles["price"]})
    with pytest.raises(DataRefused) as refused:
        check(only, fresh)
    assert refused.value.code == "drift-not-finite"


def test_a_reference_of_nothing_that_can_be_used_is_refused():
    with pytest.raises(DataRefused) as refused:
        build_reference({"price": [None] * ROWS}, {"price": "number"}, POLICY, rng(0))
    assert refused.value.code == "drift-all-null"


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
