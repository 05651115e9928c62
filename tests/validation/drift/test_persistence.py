"""How many checks must agree, which of them count, and what one lucky or unlucky day may do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmodels.errors import InputError
from validation.drift import persistence
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


def draws(*sizes, seed=0):
    """Disjoint rows of each size as they are remembered: hashes, of very many the 2,000 smallest."""
    hashes = np.unique(np.random.default_rng(seed).integers(0, 2**63, sum(sizes) + 100, dtype=np.uint64))
    order = np.random.default_rng(seed + 1).permutation(len(hashes))
    return [hashes[part] for part in np.split(order, np.cumsum(sizes))[:-1]]


def remembered(rows, *, drifted=True):
    kept = np.sort(rows)[:2000]
    return PastCheck("r1", kept, ("text",) if drifted else (), len(rows) <= 2000)


@pytest.mark.parametrize("place", [0, 3, 8])
def test_one_very_large_check_leaves_the_others_their_say(place):
    large, *windows = draws(1_000_000, *[5000] * 12)
    checks = [remembered(rows) for rows in windows]
    checks.insert(place, remembered(large, drifted=False))
    assert persistent_drift(checks, POLICY) == ("text",)


def test_parts_of_one_very_large_file_are_one_piece_of_evidence():
    (large,) = draws(1_000_000)
    parts = [large[start : start + 5000] for start in range(0, 60_000, 5000)]
    checks = [remembered(large), *map(remembered, parts)]
    assert persistent_drift(checks, PersistencePolicy(needed=2, of=4)) == ()
    assert persistent_drift(checks[1:], POLICY) == ("text",), "of which nobody had seen the rest"


@pytest.mark.parametrize("seed", range(5))
def test_overlaps_with_checks_of_other_sizes_add_up(seed):
    """Of 20,000 rows 3,000 are in a small check, 5,000 in a middle and 8,000 in a large one: 80 %."""
    last, middle, large = draws(20_000, 20_000, 200_000, seed=seed)
    held = [
        last[:3000],
        np.concatenate([middle, last[3000:8000]]),
        np.concatenate([large, last[8000:16_000]]),
    ]
    checks = [remembered(rows) for rows in (*held, last)]

    by_large, by_middle, by_small = (persistence._seen_by(checks)(place) for place in (2, 1, 0))
    assert by_large == pytest.approx(0.8, abs=0.12)
    assert by_middle == pytest.approx(0.4, abs=0.06)
    assert by_small == pytest.approx(0.15, abs=0.03)


@given(st.lists(st.sets(st.integers(0, 30), min_size=1), min_size=2, max_size=8))
def test_where_all_rows_are_remembered_the_share_is_exact(windows):
    seen_by = persistence._seen_by(over(*map(sorted, windows)))
    for place in range(len(windows) - 1):
        known = set().union(*windows[: place + 1])
        assert seen_by(place) == pytest.approx(len(windows[-1] & known) / len(windows[-1]))


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
