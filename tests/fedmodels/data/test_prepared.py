import hashlib
import hmac

import pytest

from fedmodels.data.prepared import (
    CoordinatorTables,
    class_names,
    keyed_data_hash,
    prepare_coordinator_tables,
    prepare_party_tables,
    read_prepared,
)
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import write_table
from fedmodels.errors import DataRefused, InputError
from fedmodels.recipe import CoordinatorData

KEY = b"sixteen bytes ok"


def csv(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), encoding="utf-8")
    return path


def many(count, start=0):
    return [(f"text {number}", number % 2) for number in range(start, start + count)]


def test_a_holdout_is_split_off_when_none_is_given(tmp_path, own_tables):
    train = csv(tmp_path / "rows.csv", [*many(400), *many(10)])
    prepared = prepare_party_tables(train, None, own_tables(), ("0", "1"), seed=42)
    assert len(prepared.train) + len(prepared.holdout) == 400
    assert len(prepared.holdout) == pytest.approx(60, abs=20)
    assert not set(prepared.train.texts) & set(prepared.holdout.texts)
    assert prepared.counts == {"exact_duplicates": 10}
    assert prepare_party_tables(train, None, own_tables(), ("0", "1"), seed=42) == prepared


def test_a_text_in_both_tables_stays_in_the_holdout(tmp_path, own_tables):
    train, holdout = csv(tmp_path / "train.csv", many(20)), csv(tmp_path / "holdout.csv", many(10, start=15))
    prepared = prepare_party_tables(train, holdout, own_tables(), ("0", "1"), seed=42)
    assert (len(prepared.train), len(prepared.holdout)) == (15, 10)
    assert prepared.counts == {"train_texts_in_holdout": 5}


def test_rows_with_unknown_or_missing_labels_stay_and_are_counted(tmp_path, own_tables):
    train = csv(tmp_path / "rows.csv", [*many(30), ("odd", "7"), ("bare", "")])
    prepared = prepare_party_tables(train, None, own_tables(), ("0", "1"), seed=42)
    assert len(prepared.train) + len(prepared.holdout) == 32
    assert prepared.counts == {"missing_labels": 1, "unknown_labels": 1}


def test_a_party_without_a_table(own_tables):
    with pytest.raises(DataRefused) as caught:
        prepare_party_tables(None, None, own_tables(), ("0", "1"), seed=42)
    assert caught.value.code == "table-missing"


def test_a_fault_names_the_table_and_no_path(tmp_path, own_tables):
    train = csv(tmp_path / "train.csv", many(20))
    with pytest.raises(DataRefused, match="The holdout table does not exist") as caught:
        prepare_party_tables(train, tmp_path / "gone.csv", own_tables(), ("0", "1"), seed=42)
    assert "gone" not in str(caught.value)


def test_other_column_names(tmp_path, own_tables):
    path = tmp_path / "rows.csv"
    path.write_text("Bewertung,Note\ngut,1\nschlecht,0\n")
    prepared = prepare_party_tables(
        path, path, own_tables(text="Bewertung", label="Note"), ("0", "1"), seed=42
    )
    assert prepared.holdout.texts == ("gut", "schlecht")


def test_the_coordinators_table_is_split_into_three(tmp_path, own_tables):
    table = csv(tmp_path / "own.csv", many(1000))
    data = own_tables(coordinator=CoordinatorData(table=str(table)))
    tables = prepare_coordinator_tables(data, seed=42)
    sizes = [len(rows) for rows in tables.sets().values()]
    assert sizes == pytest.approx([300, 300, 400], abs=50)
    assert len(set().union(*(rows.texts for rows in tables.sets().values()))) == sum(sizes) == 1000


def test_three_files_lose_their_common_texts(tmp_path, own_tables):
    files = {
        "public": str(csv(tmp_path / "p.csv", many(10))),
        "validation": str(csv(tmp_path / "v.csv", many(10, start=5))),
        "holdout": str(csv(tmp_path / "h.csv", many(10, start=12))),
    }
    tables = prepare_coordinator_tables(own_tables(coordinator=CoordinatorData(**files)), seed=42)
    assert [len(rows) for rows in tables.sets().values()] == [5, 7, 10]
    assert tables.counts == {"texts_in_two_sets": 8}


def test_no_public_set(tmp_path, own_tables):
    files = {
        "validation": str(csv(tmp_path / "v.csv", many(10))),
        "holdout": str(csv(tmp_path / "h.csv", many(9, 10))),
    }
    tables = prepare_coordinator_tables(own_tables(coordinator=CoordinatorData(**files)), seed=42)
    assert len(tables.public) == 0
    write_table(tables.public, tmp_path / "public.parquet")
    assert read_prepared(tmp_path / "public.parquet", "public") == LabelledTexts()


@pytest.mark.parametrize(
    ("rows", "changes", "code"),
    [
        ([(f"text {number}", 1) for number in range(50)], {}, "labels-single"),
        ([*many(50), ("x", "")], {}, "label-missing"),
        ([*many(50), ("x", "7")], {"labels": ("0", "1")}, "labels-unknown"),
        (many(50), {"shares": (1.0, 0.0, 0.0)}, "set-empty"),
    ],
)
def test_the_coordinators_own_faults(tmp_path, own_tables, rows, changes, code):
    shares = changes.get("shares", (0.3, 0.3, 0.4))
    table = str(csv(tmp_path / "own.csv", rows))
    data = own_tables(coordinator=CoordinatorData(table=table, shares=shares), labels=changes.get("labels"))
    with pytest.raises(InputError) as caught:
        prepare_coordinator_tables(data, seed=42)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("labels", "given", "names"),
    [
        (("10", "9", "1"), None, ("1", "9", "10")),
        (("good", "bad"), None, ("bad", "good")),
        (("2", "x"), None, ("2", "x")),
        (("0", "1"), [1.0, 0], ("1", "0")),
    ],
)
def test_class_names(own_tables, labels, given, names):
    rows = LabelledTexts(labels, labels)
    tables = CoordinatorTables(rows, rows, rows)
    assert class_names(own_tables(labels=given), tables) == names


def test_the_data_hash_is_an_hmac_of_sorted_rows():
    rows = LabelledTexts(("ab", "c"), ("x", "y"))
    hashes = sorted([hashlib.sha256(b"2:abx").digest(), hashlib.sha256(b"1:cy").digest()])
    assert keyed_data_hash(rows, KEY) == hmac.new(KEY, b"".join(hashes), "sha256").hexdigest()


def test_the_data_hash_tells_changes_and_no_order():
    rows = LabelledTexts(("ab", "c"), ("x", "y"))
    value = keyed_data_hash(rows, KEY)
    assert keyed_data_hash(rows.take([1, 0]), KEY) == value
    others = [
        LabelledTexts(("a", "c"), ("bx", "y")),
        LabelledTexts(("ab", "c"), ("y", "x")),
        LabelledTexts(("ab", "c", "c"), ("x", "y", "y")),
    ]
    assert value not in {keyed_data_hash(other, KEY) for other in others}
    assert keyed_data_hash(rows, b"another key here") != value
    with pytest.raises(ValueError, match="15 bytes"):
        keyed_data_hash(rows, KEY[1:])
