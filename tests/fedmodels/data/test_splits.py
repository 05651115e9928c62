import random

import pytest

from fedmodels.data.rows import LabelledTexts
from fedmodels.data.splits import draw_groups, groups_by_party, parse_ranges, place_of, split_by_text
from fedmodels.errors import InputError


def rows_of(texts):
    return LabelledTexts(tuple(texts), tuple("1" for _ in texts))


def test_a_place_is_the_same_on_every_machine():
    assert place_of("good phone", 42, "holdout") == pytest.approx(0.0740976, abs=1e-6)
    assert place_of("good phone", 43, "holdout") != place_of("good phone", 42, "holdout")
    assert place_of("good phone", 42, "coordinator") != place_of("good phone", 42, "holdout")


def test_places_are_even():
    places = [place_of(f"text {number}", 1, "x") for number in range(4000)]
    for lower in (0.0, 0.25, 0.5, 0.75):
        assert sum(lower <= place < lower + 0.25 for place in places) == pytest.approx(1000, abs=100)


def test_equal_texts_land_on_one_side_and_nothing_is_lost():
    texts = [f"text {number % 700}" for number in range(1400)]
    parts = split_by_text(rows_of(texts), [0.3, 0.3], 7, "x")
    assert sum(map(len, parts)) == 1400
    assert [len(part) for part in parts] == pytest.approx([420, 420, 560], abs=80)
    sides = [set(part.texts) for part in parts]
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]


def test_another_row_moves_no_row():
    texts = [f"text {number}" for number in range(100)]
    held, _ = split_by_text(rows_of(texts), [0.2], 7, "x")
    shuffled = random.Random(0).sample([*texts, "one more"], 101)
    held_again, _ = split_by_text(rows_of(shuffled), [0.2], 7, "x")
    assert set(held.texts) == set(held_again.texts) - {"one more"}


def test_shares_of_one_leave_nothing_over():
    parts = split_by_text(rows_of([f"text {number}" for number in range(500)]), [0.3, 0.3, 0.4], 7, "x")
    assert len(parts[3]) == 0


def test_ranges():
    assert parse_ranges("shop", ("1-99", "105")) == ((1, 99), (105, 105))
    with pytest.raises(InputError, match=r"data\.parties\.shop\.groups has the range 9-1, which ends before"):
        parse_ranges("shop", ("9-1",))


def test_groups_go_to_their_party():
    ranges = {"a": ((1, 3),), "b": ((5, 5), (7, 9))}
    assert groups_by_party([9, 1, 2, 2, 5, 6], ranges) == {"a": (1, 2), "b": (5, 9)}


@pytest.mark.parametrize(
    ("ranges", "code"),
    [
        ({"a": ((1, 3),), "b": ((3, 4),)}, "groups-overlap"),
        ({"a": ((1, 3),), "b": ((20, 30),)}, "party-without-rows"),
    ],
)
def test_groups_that_cannot_be_given(ranges, code):
    with pytest.raises(InputError) as caught:
        groups_by_party([1, 2, 3, 4], ranges)
    assert caught.value.code == code


def test_draws_fill_their_shares_from_every_stratum():
    strata = {f"shop-{shop}": tuple(range(shop * 100, shop * 100 + 30)) for shop in range(4)}
    sizes = {group: 5 + group % 7 for groups in strata.values() for group in groups}
    total = sum(sizes.values())
    drawn = draw_groups(strata, sizes, {"public": 0.1, "holdout": 0.2}, 3, "x")
    assert not drawn["public"] & drawn["holdout"]
    for name, share in (("public", 0.1), ("holdout", 0.2)):
        assert sum(sizes[group] for group in drawn[name]) == pytest.approx(share * total, abs=6)
        for groups in strata.values():
            own = sum(sizes[group] for group in drawn[name] & set(groups))
            assert own == pytest.approx(share * sum(sizes[group] for group in groups), abs=12)


def test_draws_depend_on_seed_and_purpose_and_on_nothing_else():
    strata, sizes = {"a": tuple(range(40))}, dict.fromkeys(range(40), 3)
    draw = draw_groups(strata, sizes, {"x": 0.25}, 1, "p")
    assert len(draw["x"]) == 10
    assert draw == draw_groups({"a": tuple(reversed(range(40)))}, sizes, {"x": 0.25}, 1, "p")
    assert draw != draw_groups(strata, sizes, {"x": 0.25}, 2, "p")
    assert draw != draw_groups(strata, sizes, {"x": 0.25}, 1, "q")
