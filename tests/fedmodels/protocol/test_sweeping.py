"""References are found wherever they stand; ages are read and bounded."""

import json

import pytest

from fedmodels.errors import InputError
from fedmodels.protocol.sweeping import blob_name, check_bound, parse_bound, references

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
