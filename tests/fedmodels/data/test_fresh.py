"""Fresh rows: with labels or without, learned from beside the old ones, and read as a window for drift."""

from collections import Counter

import pytest

from fedmodels.data.fresh import labelled_fresh_rows, read_window
from fedmodels.data.prepared import prepare_party_tables
from fedmodels.errors import DataRefused

LABELS = ("bad", "good")


def write(path, header, *lines):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture
def data(own_tables):
    return own_tables(holdout_share=0.25)


@pytest.fixture
def train(tmp_path):
    return write(tmp_path / "train.csv", "text,label", *(f"old {n},{LABELS[n % 2]}" for n in range(40)))


@pytest.fixture
def fresh(tmp_path):
    rows = [f"new {n},{LABELS[n % 2]}" for n in range(40)]
    return write(tmp_path / "fresh.csv", "text,label", *rows, "not yet known,", "old 1,good")


def test_labelled_fresh_rows_join_those_to_train_on_and_those_held_out(tmp_path, data, train, fresh):
    alone = prepare_party_tables(train, None, data, LABELS, seed=1)
    both = prepare_party_tables(train, None, data, LABELS, seed=1, fresh=fresh)
    assert set(alone.train.texts) < set(both.train.texts)
    assert set(alone.holdout.texts) < set(both.holdout.texts)
    assert len(both.train) + len(both.holdout) == 80
    assert 4 <= len(set(both.holdout.texts) - set(alone.holdout.texts)) <= 16
    assert both.counts == {"exact_duplicates": 1, "fresh_without_label": 1}
    held = write(tmp_path / "held.csv", "text,label", "held out,good")
    split = prepare_party_tables(train, held, data, LABELS, seed=1, fresh=fresh)
    joined = set(split.holdout.texts) - {"held out"}
    fresh_held = {text for text in both.holdout.texts if text.startswith("new")}
    assert {text for text in joined if text.startswith("new")} == fresh_held
    assert not joined & set(split.train.texts)


def test_a_table_that_is_not_there_yet_or_has_no_labels_adds_nothing(tmp_path, data, train):
    alone = prepare_party_tables(train, None, data, LABELS, seed=1)
    assert prepare_party_tables(train, None, data, LABELS, seed=1, fresh=tmp_path / "none.csv") == alone
    unlabelled = write(tmp_path / "fresh.csv", "text", "one", "two")
    found = prepare_party_tables(train, None, data, LABELS, seed=1, fresh=unlabelled)
    assert (found.train, found.holdout) == (alone.train, alone.holdout)
    assert found.counts == {"fresh_without_label": 2}


def test_a_damaged_table_is_refused_by_its_name(tmp_path, data):
    broken = tmp_path / "fresh.parquet"
    broken.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataRefused, match="The fresh table is damaged"):
        list(labelled_fresh_rows(broken, data, Counter()))
    with pytest.raises(DataRefused, match="The fresh table has no column 'text'"):
        read_window(write(tmp_path / "fresh.csv", "words", "a"), data, {}, table="fresh")


def test_a_window_holds_clean_rows_with_or_without_labels(tmp_path, data):
    path = write(tmp_path / "fresh.csv", "text,label", "a  b,good", "a b,good", "c,", ",bad")
    window = read_window(path, data, {}, table="fresh")
    assert (window.rows.texts, window.rows.labels) == (("a b", "a b", "c"), ("good", "good", ""))
    without = read_window(path, data, {}, table="fresh", without=frozenset({"a b"}))
    assert without.rows.texts == ("c",)
    bare = read_window(write(tmp_path / "bare.csv", "text", "x", "y"), data, {}, table="fresh")
    assert bare.rows.labels == ("", "")
    assert repr(bare) == "Window(2 rows, 0 columns)"


def test_further_columns_follow_the_rows_that_stay(tmp_path, data):
    path = write(
        tmp_path / "fresh.csv",
        "text,label,price,brand",
        "a,good,1.5,x",
        "known,good,9,x",
        "b,bad,,1.0",
        ",bad,7,z",
    )
    kinds = {"price": "number", "brand": "category"}
    window = read_window(path, data, kinds, table="fresh", without=frozenset({"known"}))
    assert window.columns == {"price": [1.5, None], "brand": ["x", "1"]}
    assert window.unreadable == {}


def test_a_value_that_is_no_number_counts_as_missing_and_is_counted(tmp_path, data):
    header, *rows = "text,label,price,stock", "a,good,1.5,1", "b,bad,n/a,many", "c,bad,,few", "d,bad,1e3,none"
    path = write(tmp_path / "fresh.csv", header, *rows, "known,bad,?,?")
    kinds = {"price": "number", "stock": "number"}
    window = read_window(path, data, kinds, table="fresh", without=frozenset({"known"}))
    assert window.columns == {"price": [1.5, None, None, 1000.0], "stock": [1.0, None, None, None]}
    assert window.unreadable == {"price": 1, "stock": 3}
