"""How many checks must agree, which of them count, and what one lucky or unlucky day may do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmodels.errors import InputError
from validation.drift.persistence import PastCheck, PersistencePolicy, persistent_drift

POLICY = PersistencePolicy()  # 3 of 4


def hourly(*drifted, reference="r1", length=1.0):
    """One check an hour over the last `length` hours; each argument names what drifted, comma by comma."""
    return [
        PastCheck(reference, hour - length, float(hour), tuple(filter(None, names.split(","))))
        for hour, names in enumerate(drifted)
    ]


def test_three_of_four_in_a_row():
    assert persistent_drift(hourly("price", "price", "price"), POLICY) == ("price",)
    assert persistent_drift(hourly("price", "price", "", "price"), POLICY) == ("price",)
    assert persistent_drift(hourly("price", "price"), POLICY) == ()
    assert persistent_drift(hourly("price", "", "", "price", "price"), POLICY) == ()
    assert persistent_drift([], POLICY) == ()


def test_drift_that_is_over_is_over():
    assert persistent_drift(hourly("price", "price", "price", ""), POLICY) == ()


def test_different_features_do_not_add_up():
    assert persistent_drift(hourly("price", "brand", "text"), POLICY) == ()
    mixed = hourly("price,text", "brand,text", "text", "price,text")
    assert persistent_drift(mixed, POLICY) == ("text",)
    assert persistent_drift(hourly("b,a", "b,a", "b,a"), POLICY) == ("a", "b")


def test_one_day_is_seen_24_times_and_counts_once():
    for hours in range(1, 25):
        assert persistent_drift(hourly(*["price"] * hours, length=24), POLICY) == ()
    assert persistent_drift(hourly(*["price"] * 25, length=24), POLICY) == (
        "price",
    )  # 0, 12 and 24 hours ago


def test_checks_without_new_rows_do_not_count():
    same = [PastCheck("r1", 0, 100, ("price",)) for _ in range(50)]
    assert persistent_drift(same, POLICY) == ()


def test_a_new_reference_starts_afresh():
    before, after = hourly("price", "price", ""), hourly("", "", "price", reference="r2")
    assert persistent_drift([*before[:2], *after[2:]], POLICY) == ()
    assert persistent_drift([*before[:2], *hourly("", "", "price")[2:]], POLICY) == ("price",)


def test_a_check_of_nothing_is_none():
    with pytest.raises(InputError) as refused:
        PastCheck("r1", 5, 5)
    assert refused.value.code == "drift-check"


def test_one_check_can_be_enough():
    assert persistent_drift(hourly("", "price"), PersistencePolicy(needed=1, of=1)) == ("price",)


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 4), st.integers(0, 3))
def test_disjoint_checks_are_counted_as_they_stand(drifted, needed, more):
    policy = PersistencePolicy(needed=needed, of=needed + more)
    expected = bool(drifted) and drifted[-1] and sum(drifted[-policy.of :]) >= needed
    found = persistent_drift(hourly(*["price" if each else "" for each in drifted]), policy)
    assert found == (("price",) if expected else ())


def test_a_month_of_false_alarms_at_the_nominal_level_starts_no_training():
    # 1 % of checks alarm on a feature: 3 of 4 come together 720 · 3 · 0.01³ = 0.002 times a month.
    retrainings = 0
    for month in range(20):
        alarms = np.random.default_rng(month).random(720) < 0.01
        checks = hourly(*["price" if each else "" for each in alarms])
        retrainings += sum(bool(persistent_drift(checks[: hour + 1][-4:], POLICY)) for hour in range(720))
    assert retrainings == 0
