"""References are found wherever they stand; ages are read and bounded."""

import json

import pytest

from fedmodels.errors import InputError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.sweeping import (
    Gathered,
    References,
    Sweep,
    SweptObject,
    blob_name,
    check_bound,
    parse_bound,
    references,
    settle,
    shortened,
)

ONE, TWO = "1" * 64, "ab" * 32


def test_a_hash_is_a_reference_wherever_it_stands():
    inside = json.dumps({"payload": json.dumps({"update_sha256": TWO}), "signature": "x"})
    of_a_later_version = json.dumps({"field_of_a_later_version": [{"deep": ONE}]})
    assert references([inside.encode(), of_a_later_version.encode()]) == {ONE, TWO}


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64])
def test_what_is_no_hash_is_no_reference(text):
    assert references([f'{{"x":"{text}"}}'.encode()]) == set()


def test_a_blob_is_named_by_its_hash():
    assert blob_name(f"coordinator/blobs/{ONE}.safetensors") == ONE
    assert blob_name(f"parties/shop-a/blobs/{TWO}.zip") == TWO


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h", 3600), ("90m", 5400), ("1.5d", 129_600), ("2w", 1_209_600), ("3600s", 3600)]
)
def test_ages_by_hand(text, seconds):
    assert parse_bound(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "-1d", "1y", "1e9h", "nand", "∞d"])
def test_what_is_no_age_is_refused(text):
    with pytest.raises(InputError) as caught:
        parse_bound(text)
    assert caught.value.code == "duration-invalid"


@pytest.mark.parametrize("text", ["0s", "59m", "3599s"])
def test_an_age_below_an_hour_is_refused(text):
    with pytest.raises(InputError, match="below 3600 s") as caught:
        parse_bound(text)
    assert caught.value.code == "bound-too-short"
    with pytest.raises(InputError):
        check_bound(3599.9)


def note(*keys: str, older_than: float = 3600.0) -> Sweep:
    return Sweep(
        role="shop-a", older_than=older_than, objects=tuple(SweptObject(key=k, bytes=1) for k in keys)
    )


def test_small_notes_of_one_bound_become_one_without_what_is_there():
    settled = settle([note("c"), note("d", older_than=7200.0), note("a", "b"), note("b")], frozenset("a"))
    assert settled == (note("b", "c"), note("d", older_than=7200.0))
    assert settle(settled, frozenset()) == settled, "and again nothing changes"
    assert settle(settled, frozenset("bcd")) == ()


def test_nothing_is_added_to_a_note_that_is_long_enough():
    long = note("a", "b", "c")
    assert settle([long, note("d"), note("e", "f")], frozenset(), most=3) == (long, note("d", "e", "f"))
    assert settle([long, note("d")], frozenset("c"), most=3) == (note("a", "b", "d"),)


def test_a_blob_is_needed_that_any_place_names():
    one, other, third = (sha256_hex(name) for name in (b"one", b"other", b"third"))
    gathered = References(
        gathered=(
            Gathered(place="runs/a", versions="v", names=shortened([one])),
            Gathered(place="releases/b", versions="v", names=shortened([other, one])),
        )
    )
    assert [gathered.need(name) for name in (one, other, third)] == [True, True, False]
    assert References.model_validate_json(canonical_json(gathered)) == gathered
