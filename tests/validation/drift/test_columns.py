"""What is read of a column, and what is refused: by feature, count and type, never by value."""

import math
import tracemalloc

import numpy as np
import pytest

from fedmodels.errors import DataRefused, FedcartError
from validation.drift.columns import (
    Scored,
    read_categories,
    read_embeddings,
    read_losses,
    read_numbers,
    read_scored,
    read_texts,
)

SECRET = "eve@example.org"
LEAST = 3


@pytest.mark.parametrize(
    "values",
    [[3, None, 1.5, 2], np.array([3, np.nan, 1.5, 2], np.float32), np.array([3, None, 1.5, 2], dtype=object)],
)
def test_numbers_come_in_order_and_what_lacks_one_is_counted(values):
    present, missing = read_numbers("price", values, LEAST)
    assert (present.tolist(), missing) == ([1.5, 2.0, 3.0], 1)


def test_the_callers_array_stays_as_it_was():
    values = np.array([3.0, 1.0, 2.0])
    read_numbers("price", values, LEAST)
    assert values.tolist() == [3.0, 1.0, 2.0]


def test_categories_are_counted_by_name():
    read = read_categories("brand", ["a", "b", None, "a"], LEAST)
    assert (dict(read.counts), read.type_name, read.missing) == ({"a": 2, "b": 1}, "str", 1)
    assert dict(read_categories("stars", np.array([5, 5, 1]), LEAST).counts) == {"5": 2, "1": 1}
    assert read_categories("sold", np.array([True, False, True]), LEAST).type_name == "bool"


def test_texts_keep_their_order():
    assert read_texts("text", ["b", None, "a", "", math.nan], LEAST) == (["b", "a", ""], 2)


REFUSED = {
    "texts for numbers": (read_numbers, [SECRET] * 5, "drift-wrong-type"),
    "an array of texts for numbers": (read_numbers, np.array([SECRET] * 5), "drift-wrong-type"),
    "one text among numbers": (read_numbers, [1, 2, SECRET, 4, None], "drift-wrong-type"),
    "truth values for numbers": (read_numbers, [True, False, True, True], "drift-wrong-type"),
    "a single text": (read_numbers, SECRET, "drift-wrong-type"),
    "a table for a column": (read_numbers, np.ones((5, 2)), "drift-wrong-type"),
    "ragged rows": (read_numbers, [[1.0], [1.0, 2.0], [3.0]], "drift-wrong-type"),
    "an infinite number": (read_numbers, [1.0, 2.0, math.inf, 4.0], "drift-not-finite"),
    "a number beyond all bounds": (read_numbers, [1.0, 2.0, -1e101, 4.0], "drift-not-finite"),
    "an embedding beyond float32": (read_embeddings, np.full((3, 2), 1e40), "drift-not-finite"),
    "no number at all": (read_numbers, [None] * 5, "drift-all-null"),
    "no category at all": (read_categories, [None] * 5, "drift-all-null"),
    "no text at all": (read_texts, [math.nan] * 5, "drift-all-null"),
    "two numbers": (read_numbers, [1.0, 2.0, None, None], "drift-too-few-values"),
    "no row": (read_numbers, [], "drift-too-few-values"),
    "no row of text": (read_texts, [], "drift-too-few-values"),
    "two categories": (read_categories, ["a", SECRET, None], "drift-too-few-values"),
    "mixed categories": (read_categories, [1, SECRET, 2], "drift-wrong-type"),
    "categories that are numbers": (read_categories, [0.5, 1.5, 2.5], "drift-wrong-type"),
    "numbers for texts": (read_texts, [1, 2, 3], "drift-wrong-type"),
    "bytes for texts": (read_texts, [SECRET.encode()] * 3, "drift-wrong-type"),
    "a loss that is missing": (read_losses, [0.1, math.nan, 0.2], "drift-not-finite"),
    "embeddings in one dimension": (read_embeddings, np.ones(5, np.float32), "drift-wrong-type"),
    "embeddings of width 0": (read_embeddings, np.ones((5, 0), np.float32), "drift-wrong-type"),
    "embeddings that are no numbers": (read_embeddings, np.full((5, 2), np.nan), "drift-not-finite"),
    "two embeddings": (read_embeddings, np.ones((2, 4), np.float32), "drift-too-few-values"),
    "confidences beyond 1": (
        read_scored,
        Scored(np.array([0.5, 1.5, 0.2]), np.ones(3, bool)),
        "drift-wrong-type",
    ),
    "confidences that are missing": (
        read_scored,
        Scored(np.array([0.5, np.nan, 0.2]), np.ones(3, bool)),
        "drift-wrong-type",
    ),
    "verdicts that are numbers": (read_scored, Scored(np.full(3, 0.5), np.ones(3)), "drift-wrong-type"),
    "losses for scores": (read_scored, np.ones(5), "drift-wrong-type"),
    "scores for losses": (read_losses, Scored(np.full(3, 0.5), np.ones(3, bool)), "drift-wrong-type"),
    "scores for texts": (read_texts, Scored(np.full(3, 0.5), np.ones(3, bool)), "drift-wrong-type"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_column_of_another_kind_is_refused_in_one_sentence(name):
    reader, values, code = REFUSED[name]
    with pytest.raises(DataRefused) as refused:
        reader("delivery", values, LEAST)
    assert refused.value.code == code
    sentence = str(refused.value)
    assert "delivery" in sentence
    assert SECRET not in sentence
    assert "\n" not in sentence


def test_scores_have_one_verdict_each():
    with pytest.raises(FedcartError) as refused:
        Scored(np.ones(3), np.ones(2, bool))
    assert refused.value.code == "drift-wrong-type"
    assert repr(Scored(np.full(2, 0.25), np.ones(2, bool))) == "Scored(2 rows)"


@pytest.mark.parametrize("read", [read_categories, read_texts])
def test_one_long_value_costs_its_own_bytes_and_not_those_of_every_row(read):
    """As one numpy array these 2,000 rows are 160 MB."""
    values = ["x" * 20_000, *(f"brand {number % 50}" for number in range(1999))]
    tracemalloc.start()
    try:
        read("brand", values, 100)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
