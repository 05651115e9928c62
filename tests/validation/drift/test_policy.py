"""A policy refuses what makes no sense, by name."""

import math

import pytest

from fedmodels.errors import InputError
from validation.drift.persistence import PersistencePolicy
from validation.drift.policy import DriftPolicy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.0),
        ("alpha", 0.5),
        ("alpha", "low"),
        ("design_effect", 0.9),
        ("psi", -0.1),
        ("ks", math.nan),
        ("loss", math.inf),
        ("min_rows", 19),
        ("min_rows", 100.0),
        ("bins", 2),
        ("bins", True),
        ("embedding_rows", 0),
    ],
)
def test_a_value_outside_its_range_is_refused(name, value):
    with pytest.raises(InputError) as refused:
        DriftPolicy(**{name: value})
    assert refused.value.code == "drift-policy"
    assert f"policy's {name} is {value!r}" in str(refused.value)


@pytest.mark.parametrize("values", [{"needed": 0}, {"needed": 5, "of": 4}, {"most_overlap": 1.0}])
def test_a_persistence_that_cannot_be_is_refused(values):
    with pytest.raises(InputError) as refused:
        PersistencePolicy(**values)
    assert refused.value.code == "drift-policy"
