"""Rows on disk are the rows in memory, with the same counts; the file is private, and gone afterwards."""

import errno
import os
import sqlite3
import time
from collections import Counter
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedmodels.data.counts import count_rows
from fedmodels.data.disk import (
    _open,
    frames_to_disk,
    prepare_on_disk,
    row_file,
    rows_to_disk,
    view_to_parquet,
)
from fedmodels.data.prepared import prepare_party_tables
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.withdrawn import Withdrawn, keyed_texts
from fedmodels.errors import DataRefused
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData

DATA = DataConfig(
    parties={"shop-a": PartyData(train="a"), "shop-b": PartyData(train="b")},
    coordinator=CoordinatorData(table="own"),
    holdout_share=0.4,
)
LABELS = ("bad", "good")
ROWS = st.lists(
    st.tuples(
        st.sampled_from(
            ["", " ", "fine", "Fine!", "<b>fine</b>", "poor", "so so", "it  is", "it is", "ok", "好"]
        ),
        st.sampled_from(["good", "bad", " good", "", "ugly", None]),
    ),
    min_size=1,
    max_size=40,
)


def table(path, rows):
    pd.DataFrame(
        {"text": [text for text, _ in rows], "label": [label for _, label in rows]}, dtype=object
    ).to_parquet(path)
    return path


def rows_of(file, view):
    rows = sqlite3.connect(file).execute(f"SELECT text, label FROM {view}").fetchall()
    return Counter((text, label or "") for text, label in rows)


def in_memory(rows):
    return Counter(zip(rows.texts, rows.labels, strict=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    train=ROWS,
    holdout=st.none() | ROWS,
    fresh=st.none() | ROWS,
    seed=st.integers(0, 3),
    taken_back=st.frozensets(st.sampled_from(["fine", "it is", "ok"])),
)
def test_the_same_rows_and_counts_as_in_memory(tmp_path, train, holdout, fresh, seed, taken_back):
    first = table(tmp_path / "train.parquet", train)
    second = None if holdout is None else table(tmp_path / "holdout.parquet", holdout)
    third = None if fresh is None else table(tmp_path / "fresh.parquet", fresh)
    withdrawn = Withdrawn(b"key", keyed_texts(taken_back, b"key"), told=seed > 0)
    more = {"seed": seed, "fresh": third, "withdrawn": withdrawn}
    expected = prepare_party_tables(first, second, DATA, LABELS, **more)
    assert not withdrawn.among((*expected.train.texts, *expected.holdout.texts))
    with row_file(tmp_path) as file:
        counts = prepare_on_disk(file, first, second, DATA, LABELS, **more)
        assert rows_of(file, "train") == in_memory(expected.train)
        assert rows_of(file, "holdout") == in_memory(expected.holdout)
    wanted = count_rows(expected.train, expected.holdout, expected.counts)
    assert counts.cleaned == expected.counts
    assert (counts.train, counts.holdout, counts.raw) == (wanted.train, wanted.holdout, wanted.raw)
    assert counts.holdout_in_train == wanted.holdout_in_train
    assert counts.by_label == {label: wanted.by_label.get(label, 0) for label in LABELS}
    with row_file(tmp_path) as file:
        again = rows_to_disk(file, expected.train, expected.holdout, Counter(expected.counts), LABELS)
    assert again == counts


def test_the_file_is_private_and_gone_afterwards(tmp_path):
    with row_file(tmp_path) as file:
        rows_to_disk(file, LabelledTexts(("a",), ("good",)), LabelledTexts(), Counter(), LABELS)
        assert file.parent.parent == tmp_path
        assert file.parent.stat().st_mode & 0o077 == 0
        spilled = sqlite3.connect(file).execute("PRAGMA temp_store_directory").fetchall()
        assert spilled == [(str(file.parent),)]
    assert list(tmp_path.iterdir()) == []
    assert sqlite3.connect(":memory:").execute("PRAGMA temp_store_directory").fetchall() == []


def test_it_is_gone_after_a_fault_too(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\n")
    folder = tmp_path / "private"
    folder.mkdir()
    with pytest.raises(DataRefused) as caught, row_file(folder) as file:
        prepare_on_disk(file, path, None, DATA, LABELS, seed=1)
    assert caught.value.code == "table-empty"
    assert list(folder.iterdir()) == []


def test_a_view_as_parquet(tmp_path):
    with row_file(tmp_path) as file:
        rows_to_disk(file, LabelledTexts(("A b", "c"), ("good", "")), LabelledTexts(), Counter(), LABELS)
        for view in ("train", "holdout"):
            view_to_parquet(file, view, tmp_path / f"{view}.parquet")
    train = pq.read_table(tmp_path / "train.parquet")
    assert sorted(train.column("text").to_pylist()) == ["A b", "c"]
    assert set(train.column("label").to_pylist()) == {"good", None}
    assert len(set(train.column("text_folded").to_pylist())) == 2
    assert pq.read_table(tmp_path / "holdout.parquet").num_rows == 0


def test_frames_with_all_their_columns(tmp_path):
    frame = pd.DataFrame(
        {
            "stars": [1, 2],
            "when": pd.to_datetime(["2024-05-01", "2024-05-02"]),
            "price": pd.Series([Decimal("1.25"), None], dtype=object),
            "photo": pd.Series([b"\xff", b""], dtype=object),
            "sold": [date(2024, 5, 1), None],
        }
    )
    with row_file(tmp_path) as file:
        frames_to_disk(file, "own", [frame, frame])
        asked = "SELECT COUNT(*), MAX(stars), SUM(price), COUNT(photo), MAX(sold) FROM own"
        assert sqlite3.connect(file).execute(asked).fetchone() == (4, 2, 2.5, 4, "2024-05-01")


def test_a_column_that_sqlite_cannot_hold(tmp_path):
    with row_file(tmp_path) as file, pytest.raises(DataRefused) as caught:
        frames_to_disk(file, "own", [pd.DataFrame({"span": pd.arrays.IntervalArray.from_tuples([(1, 2)])})])
    assert caught.value.code == "table-column-type"


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2]], columns=["Rating", "rating"]),
        pd.DataFrame([range(3000)], columns=[f"c{n}" for n in range(3000)]),
        pd.DataFrame({"id": np.array([2**63], np.uint64)}),
    ],
    ids=["names that differ in their case", "too many columns", "an integer beyond 64 bits"],
)
def test_what_sqlite_has_no_place_for_is_refused(tmp_path, frame):
    with row_file(tmp_path) as file, pytest.raises(DataRefused) as caught:
        frames_to_disk(file, "own", [frame])
    assert caught.value.code == "table-column-type"


def test_lists_records_and_times(tmp_path):
    frame = pd.DataFrame(
        {
            "tags": [["é", 1], np.array([2, 3])],
            "record": [{"of": date(2024, 5, 1)}, None],
            "at": pd.to_datetime(["2024-05-01 02:00+02:00", None], utc=False),
        }
    )
    with row_file(tmp_path) as file:
        frames_to_disk(file, "own", [frame])
        found = sqlite3.connect(file).execute("SELECT tags, record, at FROM own").fetchall()
    assert found == [
        ('["é", 1]', '{"of": "2024-05-01"}', "2024-05-01 00:00:00.000000"),
        ("[2, 3]", None, None),
    ]


def test_a_full_disk_is_told_as_one(tmp_path):
    """SQLite has an error of its own for it; here a bound on the file stands for the disk."""

    def overfill(path):
        with _open(path) as file:
            file.execute("PRAGMA max_page_count = 2")
            file.execute("CREATE TABLE t (a)")
            file.execute("INSERT INTO t VALUES (zeroblob(100000))")

    with row_file(tmp_path) as path, pytest.raises(OSError, match="No space left") as caught:
        overfill(path)
    assert caught.value.errno == errno.ENOSPC


def test_what_a_crash_left_goes_when_it_is_a_day_old(tmp_path):
    for name, age in (("rows-old", 90_000), ("rows-new", 60)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.sqlite").write_text("rows")
        then = time.time() - age
        os.utime(tmp_path / name, (then, then))
    with row_file(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["rows-new"]
