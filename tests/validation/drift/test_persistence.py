"""How many checks must agree, which of them count, and what one lucky or unlucky day may do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmodels.errors import InputError
from validation.drift.persistence import PastCheck, PersistencePolicy, persistent_drift

POLICY = PersistencePolicy()  # 3 of 4


def hourly(*drifted, reference="r1", length=1):
    """One check an hour over the last `length` hours; each argument names what drifted, comma by comma."""
    return [
        PastCheck(reference, np.arange(hour - length, hour), tuple(filter(None, names.split(","))))
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
    same = [PastCheck("r1", np.arange(100), ("price",)) for _ in range(50)]
    assert persistent_drift(same, POLICY) == ()


def test_a_new_reference_starts_afresh():
    before, after = hourly("price", "price", ""), hourly("", "", "price", reference="r2")
    assert persistent_drift([*before[:2], *after[2:]], POLICY) == ()
    assert persistent_drift([*before[:2], *hourly("", "", "price")[2:]], POLICY) == ("price",)


@pytest.mark.parametrize("rows", [[], [2, 1], [1, 1]])
def test_a_check_of_nothing_is_none(rows):
    with pytest.raises(InputError) as refused:
        PastCheck("r1", np.array(rows, np.uint64))
    assert refused.value.code == "drift-check"


def over(*windows, whole=True):
    """A check over each window, in all of which the price drifted."""
    return [PastCheck("r1", np.asarray(rows), ("price",), whole) for rows in windows]


@pytest.mark.parametrize("part", [20, 50, 80])
def test_a_file_that_is_now_whole_and_now_in_part_brings_its_rows_once(part):
    whole, in_part = np.arange(100), np.arange(part)
    for many in (over(*[whole, in_part] * 10), over(*[in_part, whole] * 10)):
        assert persistent_drift(many, POLICY) == ()
    once = PersistencePolicy(needed=2, of=4)
    for last in (whole, in_part):
        assert persistent_drift(over(*[whole, in_part] * 10, last), once) == (), "the first had seen all"
    grown = over(*[in_part, whole] * 10)
    assert persistent_drift(grown, once) == (("price",) if part <= 50 else ()), (
        "the rest was new to the second"
    )


def test_two_files_in_turn_are_two_pieces_of_evidence():
    one, other = np.arange(100), np.arange(100, 200)
    assert persistent_drift(over(*[one, other] * 10), POLICY) == ()
    assert persistent_drift(over(*[one, other] * 10), PersistencePolicy(needed=2, of=4)) == ("price",)
    both = over(one, other, np.arange(50, 150))
    assert persistent_drift(both, POLICY) == (), "half of its rows are in each of the others"


def test_a_file_that_is_only_appended_to_counts_each_time_that_it_has_doubled():
    sizes = (100, 150, 190, 200, 300, 399)
    assert persistent_drift(over(*map(np.arange, sizes)), POLICY) == ()
    assert persistent_drift(over(*map(np.arange, (*sizes, 400))), POLICY) == ("price",)


def test_of_many_rows_the_smallest_hashes_tell_how_far_checks_overlap():
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**63, 60_000, dtype=np.uint64))
    order = np.random.default_rng(1).permutation(len(hashes))

    def kept(start, end, most=2000):
        return np.sort(hashes[order[start:end]])[:most]

    policy = PersistencePolicy(needed=2, of=2)
    assert persistent_drift(over(kept(0, 20_000), kept(11_000, 31_000), whole=False), policy) == ("price",)
    assert persistent_drift(over(kept(0, 20_000), kept(9_000, 29_000), whole=False), policy) == ()
    far = PastCheck("r1", hashes[-3:], ("price",))
    assert persistent_drift([*over(hashes[:2000], whole=False), far], policy) == (), "nothing to compare"


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
