"""A party's tables in a file of SQLite, for rows that memory does not hold.

Reading, cleaning and splitting are those of `prepared.py`, a part of the rows at a time: what needs all of
them (rows that stand there already, texts with two labels, texts on two sides of a split) is asked of the
file. In memory are one part, and SQLite's cache of `CACHE_KIB`.

The file holds rows. It lies in a private folder, into which SQLite spills as well, and is gone when the block
ends.
"""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.data.cleaning import clean_row, fold
from fedmodels.data.columns import BATCH_ROWS, Reading
from fedmodels.data.counts import TableCounts, positive
from fedmodels.data.fresh import labelled_fresh_rows
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.splits import is_held_out
from fedmodels.data.tables import RawTable, read_row_batches, reading_of
from fedmodels.data.withdrawn import COUNT, NOTHING, Withdrawn
from fedmodels.errors import DataRefused
from fedmodels.recipe import DataConfig

if TYPE_CHECKING:
    import pandas as pd

CACHE_KIB = 32 * 1024
_PREFIX = "rows-"
_A_DAY = 86_400.0
_SCHEMA = """
CREATE TABLE "row" (part INTEGER NOT NULL, key BLOB NOT NULL, label TEXT NOT NULL, text TEXT, folded TEXT,
                    UNIQUE (part, key, label));
CREATE INDEX folded ON "row" (part, folded);
CREATE VIEW train AS
    SELECT text, NULLIF(label, '') AS label, folded AS text_folded FROM "row" WHERE part = 0;
CREATE VIEW holdout AS
    SELECT text, NULLIF(label, '') AS label, folded AS text_folded FROM "row" WHERE part = 1;
"""
"""`key` and `folded` are hashes of the text and of the folded text: what they are for is to be equal."""
_INSERT = 'INSERT OR IGNORE INTO "row" VALUES (?, ?, ?, ?, ?)'
_DROP_CONFLICTS = """
DELETE FROM "row" WHERE part = ? AND key IN (
    SELECT key FROM "row" WHERE part = ? AND label <> '' GROUP BY key HAVING COUNT(*) > 1)
"""
_DROP_HELD_OUT = """
DELETE FROM "row" WHERE part = 0
    AND EXISTS (SELECT 1 FROM "row" AS held WHERE held.part = 1 AND held.key = "row".key)
"""
_HELD_OUT_AND_TRAINED = """
part = 1 AND EXISTS (SELECT 1 FROM "row" AS train WHERE train.part = 0 AND train.folded = "row".folded)
"""


@contextmanager
def row_file(folder: Path) -> Iterator[Path]:
    """A new file for rows, in a private folder below `folder`; it is gone when the block ends.

    What a process left that was killed meanwhile is removed once it is a day old.
    """
    for left in folder.glob(f"{_PREFIX}*"):
        if time.time() - left.stat().st_mtime > _A_DAY:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder, ignore_cleanup_errors=True) as private:
        path = Path(private) / "rows.sqlite"
        with _open(path) as file:
            _spill_into(file, private)
        try:
            yield path
        finally:
            with _open(path) as file:
                _spill_into(file, "")


def prepare_on_disk(
    path: Path,
    train: Path,
    holdout: Path | None,
    data: DataConfig,
    labels: tuple[str, ...],
    *,
    seed: int,
    fresh: Path | None = None,
    withdrawn: Withdrawn = NOTHING,
) -> TableCounts:
    """Read, clean and split a party's tables into the views `train` and `holdout` of a file.

    The rows and counts are those of `prepare_party_tables`.

    Args:
        path: of `row_file`.
        train: the party's table, Parquet or CSV.
        holdout: its second table; without it a share of the rows is split off by their texts.
        data: the recipe's `data` section.
        labels: the classes of the plan.
        seed: the recipe's seed.
        fresh: rows that came in since; there need be no such file.
        withdrawn: rows that their owners took back.

    Raises:
        DataRefused: as `prepare_party_tables`.
    """
    counts: Counter[str] = Counter()

    def side_of(text: str) -> int:
        return int(is_held_out(text, data, seed))

    with _open(path) as file:
        file.executescript(_SCHEMA)
        side = side_of if holdout is None else lambda _text: 0
        _fill(file, _reading(train, data, "train"), side, counts, withdrawn)
        if holdout is not None:
            _fill(file, _reading(holdout, data, "holdout"), lambda _text: 1, counts, withdrawn)
        for batch in labelled_fresh_rows(fresh, data, counts):
            _insert(file, batch, side_of, counts, withdrawn)
        for part in (0, 1):
            counts["conflicting_labels"] += file.execute(_DROP_CONFLICTS, (part, part)).rowcount
        counts["train_texts_in_holdout"] += file.execute(_DROP_HELD_OUT).rowcount
        file.commit()
        return _count(file, labels, counts)


def rows_to_disk(
    path: Path, train: LabelledTexts, holdout: LabelledTexts, cleaned: Counter[str], labels: tuple[str, ...]
) -> TableCounts:
    """Put rows that are clean and in memory into the views of a file.

    Args:
        path: of `row_file`.
        train: rows to train on.
        holdout: rows to score on.
        cleaned: what cleaning changed, in rows.
        labels: the classes of the plan.
    """
    with _open(path) as file:
        file.executescript(_SCHEMA)
        for part, rows in enumerate((train, holdout)):
            pairs = zip(rows.texts, rows.labels, strict=True)
            file.executemany(_INSERT, ((part, *_row(text, label)) for text, label in pairs))
        file.commit()
        return _count(file, labels, cleaned)


def view_to_parquet(path: Path, view: str, target: Path) -> None:
    """Write the rows of a view, `train` or `holdout`, as Parquet, a part of them at a time.

    Args:
        path: of `row_file`, filled.
        view: which rows.
        target: the file to write, in a private folder.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in ("text", "label", "text_folded")])
    with _open(path) as file, pq.ParquetWriter(target, schema) as writer:
        rows = file.execute(f"SELECT text, label, text_folded FROM {view}")  # noqa: S608 (a view of ours)
        while part := rows.fetchmany(BATCH_ROWS):
            writer.write_table(pa.table(list(zip(*part, strict=True)), schema=schema))


def frames_to_disk(path: Path, table: str, frames: Iterable["pd.DataFrame"]) -> None:
    """Put a table with all its columns into a file, a frame at a time.

    Decimals become floating point, lists and records JSON, times those of UTC.

    Raises:
        DataRefused: a column holds what SQLite has no type for, intervals for instance.
    """
    from pandas.errors import DatabaseError

    with _open(path) as file:
        try:
            for frame in frames:
                times = {str(name): "TIMESTAMP" for name in frame.select_dtypes(["datetime", "datetimetz"])}
                _storable(frame, list(times)).to_sql(
                    table, file, if_exists="append", index=False, chunksize=BATCH_ROWS, dtype=times
                )
        except sqlite3.OperationalError as error:
            if not str(error).startswith(("duplicate column name", "too many columns")):
                raise
            raise DataRefused(
                f"The {table} table has columns whose names differ in their case alone, or too many of them",
                fix="rename them, or leave out what no expectation names",
                code="table-column-type",
            ) from None
        except (DatabaseError, OverflowError) as error:
            if isinstance(error.__cause__, sqlite3.OperationalError):
                raise error.__cause__ from None
            raise DataRefused(
                f"The {table} table has a column that cannot be checked",
                fix="store plain values in it, and integers of at most 64 bits with their sign",
                code="table-column-type",
            ) from None
        file.commit()


def _storable(frame: "pd.DataFrame", times: list[str]) -> "pd.DataFrame":
    """SQLite knows numbers, texts and bytes; other values stand in a frame as objects, or as times.

    SQLAlchemy writes a time that it compares with all six digits of its microseconds, and SQLite compares
    texts: so all of them are written here.
    """
    import pandas as pd

    of_objects = frame.select_dtypes(["object", "str"]).map(_plain)
    as_texts = {
        name: pd.to_datetime(frame[name], utc=True).dt.strftime("%Y-%m-%d %H:%M:%S.%f") for name in times
    }
    return frame.assign(**{str(name): of_objects[name] for name in of_objects}, **as_texts)


def _plain(value: object) -> object:
    from pandas.api.types import is_scalar

    if isinstance(value, Decimal):
        return float(value)
    return value if is_scalar(value) else json.dumps(value, default=_as_list, ensure_ascii=False)


def _as_list(value: object) -> object:
    """An array as a list; what else JSON does not know, as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Nothing in the file has to survive a crash: it is made anew for each check."""
    with closing(sqlite3.connect(path)) as file:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            file.execute(f"PRAGMA {pragma}")
        try:
            yield file
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            raise


def _spill_into(file: sqlite3.Connection, folder: str) -> None:
    """Where this process's SQLite puts temporary files, which hold rows too; empty: where it always does."""
    file.execute(f"PRAGMA temp_store_directory = '{folder.replace(chr(39), chr(39) * 2)}'")


def _reading(path: Path, data: DataConfig, table: str) -> Reading:
    return reading_of(path, data.text, data.label, table=table, error=DataRefused)


def _fill(
    file: sqlite3.Connection,
    reading: Reading,
    side_of: Callable[[str], int],
    counts: Counter[str],
    withdrawn: Withdrawn,
) -> None:
    filled = False
    for batch in read_row_batches(reading):
        _insert(file, batch, side_of, counts, withdrawn)
        filled = True
    if not filled:
        raise reading.fault("has no rows", "give a table with rows", "table-empty")


def _insert(
    file: sqlite3.Connection,
    batch: RawTable,
    side_of: Callable[[str], int],
    counts: Counter[str],
    withdrawn: Withdrawn,
) -> None:
    rows = list(_clean(batch, counts, withdrawn))
    before = file.total_changes
    file.executemany(_INSERT, ((side_of(text), *_row(text, label)) for text, label in rows))
    counts["exact_duplicates"] += len(rows) - (file.total_changes - before)


def _clean(batch: RawTable, counts: Counter[str], withdrawn: Withdrawn) -> Iterator[tuple[str, str]]:
    for value, raw_label in zip(batch.texts, batch.labels, strict=True):
        text, label = clean_row(value, raw_label, counts)
        if text and withdrawn.has(text):
            counts[COUNT] += withdrawn.told
        elif text:
            yield text, label


def _row(text: str, label: str) -> tuple[bytes, str, str, str]:
    folded = hashlib.blake2b(fold(text).encode(), digest_size=16).hexdigest()
    return hashlib.blake2b(text.encode(), digest_size=16).digest(), label, text, folded


def _count(file: sqlite3.Connection, labels: tuple[str, ...], cleaned: Counter[str]) -> TableCounts:
    def ask(condition: str, *values: str) -> int:
        query = f'SELECT COUNT(*) FROM "row" WHERE {condition}'  # noqa: S608 (conditions of this module)
        return int(file.execute(query, values).fetchone()[0])

    marks = ", ".join("?" * len(labels))
    cleaned["unknown_labels"] = ask(f"label <> '' AND label NOT IN ({marks})", *labels)
    return TableCounts(
        train=ask("part = 0"),
        holdout=ask("part = 1"),
        by_label={label: ask("part = 0 AND label = ?", label) for label in labels},
        holdout_in_train=ask(_HELD_OUT_AND_TRAINED),
        cleaned=positive(cleaned),
    )
