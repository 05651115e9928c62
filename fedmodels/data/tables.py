"""Tables of labelled text on disk: reads a user's Parquet or CSV, writes Parquet with a fixed schema.

A fault is one sentence that names the table by its part (`the train table`), the column and the bound.
It holds neither a path nor a value: at a party, its text travels to the coordinator. Only `read_texts` and
`read_text_table`, which read a file that a person has just named, name it.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.data.columns import Reading, column_batches, column_names, is_parquet, parquet_schema
from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import FedcartError, InputError
from fedmodels.full_disk import full_disk_told

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RawTable:
    """Two columns as they were read: texts are strings or `None`, labels whatever the table holds."""

    texts: tuple[str | None, ...]
    labels: tuple[object, ...]


@dataclass(frozen=True)
class TextTable:
    """Every column of a table, one of which holds texts. A missing text is the empty string."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    text: str
    """Name of the column of texts."""

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        place = self.columns.index(self.text)
        return [str(row[place] or "") for row in self.rows]


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

    What begins like Parquet is read as Parquet. CSV is UTF-8 with a header, fields separated as a line
    `sep=;` before it says, or by the one of comma, semicolon and tab under which it has both columns.

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
    reading = reading_of(path, text, label, table=table, error=error)
    return _read(reading) if may_be_empty else _read_filled(reading)


def read_row_batches(reading: Reading) -> Iterator[RawTable]:
    """The text and the label column of a reading, a part of the rows at a time.

    Raises:
        FedcartError: as `read_table`.
    """
    if is_parquet(reading):
        _check_types(reading)
    for texts, labels in column_batches(reading):
        yield RawTable(tuple(texts), tuple(labels))


def reading_of(path: Path, text: str, label: str, *, table: str, error: type[FedcartError]) -> Reading:
    """A reading of text and label; the arguments are those of `read_table`."""
    return Reading(path, (text, label), f"The {table} table", error)


def read_texts(path: Path, column: str, option: str = "--column") -> list[str]:
    """One text column of a Parquet or CSV file, in order; a missing text is the empty string.

    Args:
        path: the file.
        column: name of the column.
        option: with which a person names it.

    Raises:
        InputError: as `read_table`.
    """
    return [text or "" for text in _read_filled(_named(path, column, option)).texts]


def read_text_table(path: Path, column: str) -> TextTable:
    """Every column of a Parquet or CSV file whose texts stand in `column`.

    Raises:
        InputError: as `read_table`; or a column holds what CSV has no form for (`table-column-type`).
    """
    reading = _named(path, column)
    if is_parquet(reading):
        _check_types(reading)
        _check_plain(reading)
    columns = tuple(column_names(reading))
    batches = column_batches(replace(reading, columns=columns))
    rows = tuple(row for batch in batches for row in zip(*batch, strict=True))
    if not rows:
        raise _empty(reading)
    return TextTable(columns, rows, column)


def _named(path: Path, column: str, option: str = "--column") -> Reading:
    return Reading(path, (column, column), f"The file {path}", InputError, option=option)


def _read_filled(reading: Reading) -> RawTable:
    raw = _read(reading)
    if not raw.texts:
        raise _empty(reading)
    return raw


def _empty(reading: Reading) -> FedcartError:
    return reading.fault("has no rows", "give a table with rows", "table-empty")


def _read(reading: Reading) -> RawTable:
    texts: list[str | None] = []
    labels: list[object] = []
    for batch in read_row_batches(reading):
        texts += batch.texts
        labels += batch.labels
    return RawTable(tuple(texts), tuple(labels))


def _check_types(reading: Reading) -> None:
    import pyarrow.types as types

    schema, (text, label) = parquet_schema(reading), reading.columns
    of_text, of_label = schema.field(text).type, schema.field(label).type
    if not _is_text(of_text) and not types.is_null(of_text):
        raise reading.fault(
            f"has a text column {text!r} of type {of_text}",
            "store texts as strings",
            "table-text-type",
        )
    if not _is_label(of_label):
        raise reading.fault(
            f"has a label column {label!r} of type {of_label}",
            "store labels as strings, whole numbers or booleans",
            "table-label-type",
        )


def _check_plain(reading: Reading) -> None:
    import pyarrow.types as types

    for field in parquet_schema(reading):
        if types.is_nested(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type):
            raise reading.fault(
                f"has a column {field.name!r} of type {field.type}, which CSV cannot hold",
                "leave it out of the file",
                "table-column-type",
            )


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
