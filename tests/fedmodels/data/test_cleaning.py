import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmodels.data.cleaning import clean_rows, clean_text, fold
from fedmodels.spelling import clean_label


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("good", "good", set()),
        ("cafe\u0301", "caf\u00e9", {"unicode"}),
        ("a\u200bb\x00c\ufeff", "abc", {"invisible_characters"}),
        ("  two\t\nwords  ", "two words", {"whitespace"}),
        ("<p>Great<br/>phone</p>", "Great phone", {"markup", "whitespace"}),
        ("wo<b>r</b>d", "word", {"markup"}),
        ("at&amp;t", "at&t", {"markup"}),
        ("easy &amp;#38; quick", "easy & quick", {"markup"}),
        ("&lt;br&gt;x", "x", {"markup", "whitespace"}),
        ("<script>steal()</script>fine", "fine", {"markup", "whitespace"}),
        ("price < 5 and size > 3", "price < 5 and size > 3", set()),
        ("I <3 it, a<b>c", "I <3 it, ac", {"markup"}),
        ("<reviewer> liked it", "<reviewer> liked it", set()),
        ("好用。  推荐!", "好用。 推荐!", {"whitespace"}),
        ("👩\u200d💻 works", "👩\u200d💻 works", set()),
        ("می\u200cخواهم", "می\u200cخواهم", set()),
    ],
)
def test_one_text(before, after, changes):
    assert clean_text(before) == (after, frozenset(changes))


MARKUP = st.lists(
    st.sampled_from(
        ["<b>", "</b>", "<br/>", "&lt;", "&amp;", "br", ">", "<", "&#38;", "é", "e\u0301", " ", "\x00", "a"]
    )
).map("".join)


@given(st.one_of(st.text(), MARKUP))
def test_cleaning_what_is_clean_changes_nothing(text):
    once, _ = clean_text(text)
    assert clean_text(once) == (once, frozenset())
    assert unicodedata.is_normalized("NFC", once)
    assert once == once.strip()
    once.encode()


@pytest.mark.parametrize("value", [1, 1.0, "1", "1.0", " 1 ", "1.00"])
def test_one_number_is_one_label(value):
    assert clean_label(value) == "1"


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (None, ""),
        (float("nan"), ""),
        ("  ", ""),
        (0.5, "0.5"),
        ("0.50", "0.5"),
        ("-0.0", "0"),
        (-0.0, "0"),
        (-2, "-2"),
        ("01", "01"),
        ("1.2.0", "1.2.0"),
        ("10", "10"),
        (True, "True"),
        ("good ", "good"),
        ("bo\u0302n", "b\u00f4n"),
    ],
)
def test_labels(value, label):
    assert clean_label(value) == label


def test_rows_are_counted_by_what_happened_to_them():
    texts = ["good phone", "good  phone", "bad <i>phone</i>", "so so", "so so", "", None, "no label", "x"]
    labels = ["1", "1.0", 0, "1", "0", "1", "1", None, " 1"]
    rows, counts = clean_rows(texts, labels)
    assert rows.texts == ("good phone", "bad phone", "no label", "x")
    assert rows.labels == ("1", "0", "", "1")
    assert counts == {
        "conflicting_labels": 2,  # both rows of "so so"
        "empty_texts": 2,
        "exact_duplicates": 1,
        "labels": 2,  # "1.0" and " 1"
        "markup": 1,
        "missing_labels": 1,
        "whitespace": 1,
    }


def test_a_row_without_label_is_no_conflict():
    rows, counts = clean_rows(["same", "same"], ["1", None])
    assert rows.labels == ("1", "")
    assert counts == {"missing_labels": 1}


def test_the_order_of_rows_decides_nothing_but_their_order():
    texts, labels = ["a", "b", "b", "c", "a"], ["1", "0", "1", "1", "1"]
    forward, counts = clean_rows(texts, labels)
    backward, counts_backward = clean_rows(texts[::-1], labels[::-1])
    assert sorted(zip(forward.texts, forward.labels, strict=True)) == [("a", "1"), ("c", "1")]
    assert set(forward.texts) == set(backward.texts)
    assert counts == counts_backward


def test_folding():
    assert fold("Great, phone!") == fold("great PHONE")
    assert fold("!!!") == "!!!"
    assert fold("好用。") == "好用"
