"""A reference: built of named columns, the same after a round trip, silent in its repr."""

import json

import numpy as np
import pytest

from fedmodels.errors import DataRefused, InputError
from validation.drift.columns import Scored
from validation.drift.comparing import compare
from validation.drift.policy import DriftPolicy
from validation.drift.reference import FORMAT, build_reference, pack, reference_hash, unpack

POLICY = DriftPolicy()
KINDS = {
    "price": "number",
    "brand": "category",
    "label": "label",
    "text": "text",
    "meaning": "embedding",
    "loss": "loss",
    "scores": "calibration",
}


def rows(seed=0, number=120):
    rng = np.random.default_rng(seed)
    return {
        "price": rng.normal(size=number),
        "brand": rng.choice(["Acme", "Bolt"], number),
        "label": rng.integers(0, 2, number),
        "text": [f"secret{rng.integers(9)} word" for _ in range(number)],
        "meaning": rng.standard_normal((number, 4)).astype(np.float32),
        "loss": rng.exponential(size=number),
        "scores": Scored(np.full(number, 0.7), rng.random(number) < 0.7),
    }


def build(columns=None, kinds=KINDS):
    return build_reference(columns or rows(), kinds, POLICY, np.random.default_rng(0))


def test_a_round_trip_through_json_and_arrays_changes_nothing(tmp_path):
    reference = build()
    document, arrays = pack(reference)
    np.savez(tmp_path / "arrays.npz", **arrays)
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as stored:
        again = unpack(json.loads(json.dumps(document, allow_nan=False)), dict(stored))
    assert reference_hash(again) == reference_hash(reference)
    fresh = rows(seed=1)
    reports = [compare(each, fresh, POLICY, np.random.default_rng(5)) for each in (reference, again)]
    assert reports[0] == reports[1]


def test_a_column_named_like_a_part_of_another_feature_is_its_own():
    columns = {
        **rows(),
        "text/length": rows(seed=3)["price"],
        "a%2Fb": rows(4)["price"],
        "a/b": rows(5)["price"],
    }
    reference = build(columns, {"text": "text", **dict.fromkeys(("text/length", "a%2Fb", "a/b"), "number")})
    again = unpack(*pack(reference)).profiles
    for name, profile in reference.profiles.items():
        kept, built = (each.length if name == "text" else each for each in (again[name], profile))
        assert kept.sample.tolist() == built.sample.tolist()


def test_the_hash_follows_the_rows():
    assert reference_hash(build()) == reference_hash(build())
    assert reference_hash(build()) != reference_hash(build(rows(seed=1)))
    document, arrays = pack(build())
    arrays["meaning/sample"] = -arrays["meaning/sample"]
    assert reference_hash(unpack(document, arrays)) != reference_hash(build())


def test_what_it_prints_is_no_value():
    reference = build()
    assert repr(reference) == "Reference(7 features)"
    printed = "".join(map(repr, reference.profiles.values()))
    assert "Acme" not in printed
    assert "array" not in printed


def test_columns_beside_the_named_ones_are_left_out():
    assert set(build(kinds={"price": "number"}).profiles) == {"price"}


def test_a_feature_that_the_table_lacks_is_named():
    with pytest.raises(InputError) as refused:
        build({"price": np.arange(200.0)}, {"price": "number", "colour": "category", "age": "number"})
    assert refused.value.code == "drift-feature-missing"
    assert "no column for age, colour" in str(refused.value)


def test_watching_nothing_is_refused():
    with pytest.raises(InputError) as refused:
        build(kinds={})
    assert refused.value.code == "drift-no-features"


def test_too_few_rows_make_no_reference():
    with pytest.raises(DataRefused) as refused:
        build(rows(number=99))
    assert refused.value.code == "drift-too-few-values"
    assert str(refused.value).startswith("Feature price has 99 rows with a value, and the tests need 100")


def _without_array(document, arrays):
    del arrays["price/edges"]


def _other_format(document, arrays):
    document["format"] = FORMAT + 1


def _unknown_kind(document, arrays):
    document["features"]["price"]["kind"] = "mood"


def _lacking_field(document, arrays):
    del document["features"]["loss"]["mean"]


def _no_features(document, arrays):
    del document["features"]


def _strange_counts(document, arrays):
    document["features"]["brand"]["counts"] = [3]


@pytest.mark.parametrize(
    "damage", [_without_array, _other_format, _unknown_kind, _lacking_field, _no_features, _strange_counts]
)
def test_a_damaged_reference_is_refused(damage):
    document, arrays = pack(build())
    document = json.loads(json.dumps(document))
    damage(document, arrays)
    with pytest.raises(InputError) as refused:
        unpack(document, arrays)
    assert refused.value.code == "drift-reference-damaged"
