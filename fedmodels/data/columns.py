"""Named columns of a Parquet or CSV file, a part of its rows at a time.

A fault is one sentence that names the table by its part (`the train table`), the column and the bound.
It holds neither a path nor a value: at a party, its text travels to the coordinator.
"""

import csv
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fedmodels.errors import DataRefused, FedcartError
from fedmodels.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8192
"""Rows in memory at a time."""
_PARQUET_MAGIC = b"PAR1"
_PARQUET_SUFFIXES = (".parquet", ".pq")
_CSV_SUFFIXES = (".csv", ".tsv", ".txt")
_LONGEST_FIELD = 16 * 2**20
"""Characters of one field of a CSV file; a quote that nobody closes makes one field of all that follows."""
_TOO_LONG = "field larger than field limit"
"""How the message of the `csv.Error` begins that a longer field raises; it has no class of its own."""
_BLOCK = 2**20
_SHOWN = 20
"""Columns that are named to a person, at most."""
_NAME = 40
"""Characters of a column's name that are shown: without a header, it may be a text."""
_DELIMITERS = ",;\t"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
"""With which Excel is told the separator, in a line before the header."""


@dataclass(frozen=True)
class Reading:
    """Which columns of which file are read, and how the faults are raised."""

    path: Path
    columns: tuple[str, ...]
    subject: str
    """`The train table`: begins each sentence."""
    error: type[FedcartError]
    option: str = ""
    """With which a person names the column of a file of their own, who is then told which ones there are."""

    def fault(self, sentence: str, fix: str, code: str) -> FedcartError:
        """The error to raise."""
        return self.error(f"{self.subject} {sentence}", fix=fix, code=code)


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is laid out: what separates its fields, its columns, and the lines before its header."""

    delimiter: str
    names: tuple[str, ...]
    skipped: int


def is_parquet(reading: Reading) -> bool:
    """Whether the file is Parquet; if not, it is CSV. What begins like Parquet is Parquet.

    Raises:
        FedcartError: of the reading's class: the file is missing, unreadable or of another format.
    """
    path = reading.path
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_PARQUET_MAGIC))
    except FileNotFoundError:
        raise reading.fault("does not exist", "correct its path", "table-missing") from None
    except OSError as fault:
        reason = os.strerror(fault.errno).lower() if fault.errno else "input/output error"
        raise reading.fault(
            f"cannot be opened: {reason}", "correct its path or rights", "table-unreadable"
        ) from None
    suffix = path.suffix.lower()
    if head == _PARQUET_MAGIC or suffix in _PARQUET_SUFFIXES:
        return True
    if suffix in _CSV_SUFFIXES:
        return False
    raise reading.fault("is neither Parquet nor CSV", "save it as .parquet or .csv", "table-format")


def column_names(reading: Reading) -> list[str]:
    """Every column of the file, in order, once those of the reading are found to be there.

    Raises:
        FedcartError: as `column_batches`.
    """
    return list(parquet_schema(reading).names if is_parquet(reading) else csv_layout(reading).names)


def csv_layout(reading: Reading) -> CsvLayout:
    """How a CSV file is laid out, as far as `column_batches` reads it.

    Raises:
        FedcartError: as `column_batches`.
    """
    with _csv_stream(reading) as stream, _csv_faults(reading):
        return _layout(stream, reading)


def _csv_stream(reading: Reading) -> IO[str]:
    return reading.path.open(encoding="utf-8-sig", newline="")


def parquet_schema(reading: Reading) -> "pa.Schema":
    """The schema of a Parquet file that has the columns of the reading.

    Raises:
        FedcartError: the file is damaged, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(reading.path)
    except (pa.ArrowException, OSError):
        raise _damaged(reading) from None
    _check_columns(reading, schema.names)
    return schema


def column_batches(reading: Reading) -> Iterator[tuple[list[Any], ...]]:
    """The values of the columns, in the order of the reading, `BATCH_ROWS` rows at a time.

    CSV is UTF-8 with a header, fields separated as a line `sep=;` before it says, or by the one of comma,
    semicolon and tab under which the header has the columns; its values are strings.

    Raises:
        FedcartError: of the reading's class, one for each fault: the file is missing, unreadable, of another
            format or cut short, or it lacks a column or has one twice.
    """
    return _parquet_batches(reading) if is_parquet(reading) else _csv_batches(reading)


def most_rows(reading: Reading) -> int:
    """An upper bound of the file's rows, without reading a value: of CSV it is the number of its lines.

    Raises:
        FedcartError: the file is missing, unreadable, of another format or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if is_parquet(reading):
        try:
            return int(pq.read_metadata(reading.path).num_rows)
        except (pa.ArrowException, OSError):
            raise _damaged(reading) from None
    with reading.path.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(_BLOCK), b""))


def _parquet_batches(reading: Reading) -> Iterator[tuple[list[Any], ...]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet_schema(reading)
    try:
        with pq.ParquetFile(reading.path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(reading.columns))):
                batch.validate(full=True)
                yield tuple(batch.column(name).to_pylist() for name in reading.columns)
    except (pa.ArrowException, OSError):
        raise _damaged(reading) from None


def _csv_batches(reading: Reading) -> Iterator[tuple[list[Any], ...]]:
    with _csv_stream(reading) as stream, _csv_faults(reading) as progress:
        layout = _layout(stream, reading)
        rows = csv.reader(_from_header(stream, layout.skipped), delimiter=layout.delimiter, strict=True)
        header = next(rows)
        places = [header.index(name) for name in reading.columns]
        batch: tuple[list[Any], ...] = tuple([] for _ in places)
        for progress.row, row in enumerate(rows, start=1):
            if row and len(row) != len(header):
                raise reading.fault(
                    f"has {len(row)} fields in row {progress.row} and {len(header)} in its header",
                    "put a text in double quotes if it holds the separator; "
                    "if a row is too short, write the file again: it may be cut off",
                    "table-damaged",
                )
            if row:
                for values, place in zip(batch, places, strict=True):
                    values.append(row[place])
                if len(batch[0]) == BATCH_ROWS:
                    yield batch
                    batch = tuple([] for _ in places)
        if batch[0]:
            yield batch


@dataclass
class _Progress:
    row: int = 0
    """The last row that was read, from 1."""


@contextmanager
def _csv_faults(reading: Reading) -> Iterator[_Progress]:
    """What the CSV reader raises, as a fault of the reading."""
    progress = _Progress()
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield progress
    except UnicodeDecodeError:
        raise reading.fault("is not UTF-8 text", "save it in UTF-8", "table-encoding") from None
    except csv.Error as fault:
        if str(fault).startswith(_TOO_LONG):
            raise reading.fault(
                f"has a text of more than {_LONGEST_FIELD} characters after row {progress.row}",
                "shorten it, or close its double quotes",
                "table-text-too-long",
            ) from None
        raise reading.fault(
            f"is not a readable CSV after row {progress.row}",
            "write the file again: it may be cut short",
            "table-damaged",
        ) from None


def _layout(stream: IO[str], reading: Reading) -> CsvLayout:
    """By the first separator under which the header has all columns; else it is told what was found."""
    said = _SEPARATOR_LINE.fullmatch(stream.readline())
    skipped = 1 if said else 0
    most: list[str] = []
    for delimiter in said[1] if said else _DELIMITERS:
        names = next(csv.reader(_from_header(stream, skipped), delimiter=delimiter), [])
        if all(name in names for name in reading.columns):
            most = names
            break
        most = max(most, names, key=len)
    if len(most) < 2 and not "".join(most).strip():
        raise reading.fault("has no rows", "give a table with rows", "table-empty")
    _check_columns(reading, most)
    return CsvLayout(delimiter, tuple(most), skipped)


def _from_header(stream: IO[str], skipped: int) -> IO[str]:
    """The stream, at the line of its header."""
    stream.seek(0)
    for _ in range(skipped):
        stream.readline()
    return stream


def _check_columns(reading: Reading, names: list[str]) -> None:
    for name in reading.columns:
        if name not in names:
            among = f" among its {counted(len(names), 'column')}" if reading.error is DataRefused else ""
            raise reading.fault(
                f"has no column {name!r}{among}", _which_there_are(reading, names), "table-column-missing"
            )
        if names.count(name) > 1:
            raise reading.fault(
                f"has {names.count(name)} columns {name!r}", "rename one", "table-column-repeated"
            )


def _damaged(reading: Reading) -> FedcartError:
    return reading.fault("is damaged or cut short", "write it again", "table-damaged")


def _which_there_are(reading: Reading, names: list[str]) -> str:
    """A party's own columns stay with it; the coordinator, and who has just named a file, may be told."""
    if reading.error is DataRefused:
        return "name the columns as the table does"
    cut = (f"{name[:_NAME]}…" if len(name) > _NAME else name for name in names[:_SHOWN])
    shown = ", ".join(map(repr, cut)) + (", …" if len(names) > _SHOWN else "")
    return f"name one that it has{f' with {reading.option}' * bool(reading.option)}: {shown}"
