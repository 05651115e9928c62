"""Tables of labelled text on disk: reads a user's Parquet or CSV, writes Parquet with a fixed schema.

A fault is one sentence that names the table by its part (`the train table`), the column and the bound.
It holds neither a path nor a value: at a party, its text travels to the coordinator. Only `read_texts`,
which reads a file that a person has just named, names it.
"""

import csv
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import FedcartError, InputError
from fedmodels.full_disk import full_disk_told

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET_MAGIC = b"PAR1"
_PARQUET_SUFFIXES = (".parquet", ".pq")
_CSV_SUFFIXES = (".csv", ".tsv", ".txt")
_LONGEST_FIELD = 16 * 2**20


@dataclass(frozen=True)
class RawTable:
    """Two columns as they were read: texts are strings or `None`, labels whatever the table holds."""

    texts: tuple[str | None, ...]
    labels: tuple[object, ...]


@dataclass(frozen=True)
class _Reading:
    """What is read, and how its faults are raised."""

    path: Path
    text: str
    label: str
    subject: str
    error: type[FedcartError]

    def fault(self, sentence: str, fix: str, code: str) -> FedcartError:
        return self.error(f"{self.subject} {sentence}", fix=fix, code=code)


def read_table(
    path: Path,
    text: str,
    label: str,
    *,
    table: str,
    error: type[FedcartError] = InputError,
    may_be_empty: bool = False,
) -> RawTable:
    """Read the text and the label column of a Parquet or CSV file; nothing else of it is kept.

    What begins like Parquet is read as Parquet. CSV is UTF-8 with a header, fields separated by the
    one of comma, semicolon and tab under which the header has both columns.

    Args:
        path: the file.
        text: name of the text column.
        label: name of the label column.
        table: what the file is to its owner, for messages: `train`, `holdout`, ...
        error: class of what is raised; `DataRefused` at a party, which then sits the round out.
        may_be_empty: whether a table without rows will do.

    Raises:
        FedcartError: of class `error`, one for each fault: the file is missing, unreadable, of another
            format or cut short, lacks a column, has one of a wrong type, or has no rows.
    """
    reading = _Reading(path, text, label, f"The {table} table", error)
    return _read(reading) if may_be_empty else _read_filled(reading)


def read_texts(path: Path, column: str) -> list[str]:
    """One text column of a Parquet or CSV file, in order; a missing text is the empty string.

    Raises:
        InputError: as `read_table`.
    """
    reading = _Reading(path, column, column, f"The file {path}", InputError)
    return [text or "" for text in _read_filled(reading).texts]


def _read_filled(reading: _Reading) -> RawTable:
    raw = _read(reading)
    if not raw.texts:
        raise reading.fault("has no rows", "give a table with rows", "table-empty")
    return raw


def _read(reading: _Reading) -> RawTable:
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
        return _read_parquet(reading)
    if suffix in _CSV_SUFFIXES:
        return _read_csv(reading)
    raise reading.fault("is neither Parquet nor CSV", "save it as .parquet or .csv", "table-format")


def _read_parquet(reading: _Reading) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(reading.path).names
        _check_columns(reading, names)
        columns = pq.read_table(reading.path, columns=list(dict.fromkeys([reading.text, reading.label])))
        columns.validate(full=True)
    except (pa.ArrowException, OSError):
        raise reading.fault("is damaged or cut short", "write it again", "table-damaged") from None
    texts, labels = columns.column(reading.text), columns.column(reading.label)
    if not _is_text(texts.type) and not pa.types.is_null(texts.type):
        raise reading.fault(
            f"has a text column {reading.text!r} of type {texts.type}",
            "store texts as strings",
            "table-text-type",
        )
    if not _is_label(labels.type):
        raise reading.fault(
            f"has a label column {reading.label!r} of type {labels.type}",
            "store labels as strings, whole numbers or booleans",
            "table-label-type",
        )
    return RawTable(tuple(texts.to_pylist()), tuple(labels.to_pylist()))


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_label(kind: "pa.DataType") -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _is_label(kind.value_type)
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return bool(plain or _is_text(kind) or types.is_null(kind) or types.is_decimal(kind))


def _read_csv(reading: _Reading) -> RawTable:
    texts: list[str] = []
    labels: list[str] = []
    number = 0
    try:
        with reading.path.open(encoding="utf-8-sig", newline="") as stream:
            delimiter = _delimiter(stream.readline(), reading)
            stream.seek(0)
            csv.field_size_limit(_LONGEST_FIELD)
            rows = csv.reader(stream, delimiter=delimiter, strict=True)
            header = next(rows)
            text, label = header.index(reading.text), header.index(reading.label)
            for number, row in enumerate(rows, start=1):
                if row and len(row) != len(header):
                    raise reading.fault(
                        f"has {len(row)} fields in row {number} and {len(header)} in its header",
                        "put a text in double quotes if it holds the separator; "
                        "if a row is too short, write the file again: it may be cut off",
                        "table-damaged",
                    )
                if row:
                    texts.append(row[text])
                    labels.append(row[label])
    except UnicodeDecodeError:
        raise reading.fault("is not UTF-8 text", "save it in UTF-8", "table-encoding") from None
    except csv.Error:
        raise reading.fault(
            f"is not a readable CSV after row {number}",
            "write the file again: it may be cut short",
            "table-damaged",
        ) from None
    return RawTable(tuple(texts), tuple(labels))


def _delimiter(header: str, reading: _Reading) -> str:
    """The first of comma, semicolon and tab under which the header has both columns."""
    if not header.strip():
        raise reading.fault("has no rows", "give a table with rows", "table-empty")
    for delimiter in ",;\t":
        names = next(csv.reader([header], delimiter=delimiter))
        if reading.text in names and reading.label in names:
            _check_columns(reading, names)
            return delimiter
    _check_columns(reading, next(csv.reader([header])))
    return ","


def _check_columns(reading: _Reading, names: list[str]) -> None:
    for name in (reading.text, reading.label):
        if name not in names:
            raise reading.fault(
                f"has no column {name!r}",
                "name the text and label columns as the table does",
                "table-column-missing",
            )
        if names.count(name) > 1:
            raise reading.fault(
                f"has {names.count(name)} columns {name!r}", "rename one", "table-column-repeated"
            )


def write_table(rows: LabelledTexts, path: Path, *, text: str = "text", label: str = "label") -> None:
    """Write rows as Parquet (two string columns, zstd), whole or not at all. Equal rows give equal bytes.

    Raises:
        InputError: the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [pa.field(text, pa.string(), nullable=False), pa.field(label, pa.string(), nullable=False)]
    )
    table = pa.table([pa.array(rows.texts, pa.string()), pa.array(rows.labels, pa.string())], schema=schema)
    with _replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place once the block has ended well."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with full_disk_told(path.name):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
