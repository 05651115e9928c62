"""A party's table as it is stored, every column of it, as frames."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from fedmodels.data.columns import Reading, column_names, csv_layout, is_parquet

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pandas.api.extensions import ExtensionDtype
    from pandas.io.parsers import TextFileReader

_NULL = "null"


def table_frames(reading: Reading, rows: int) -> Iterator["pd.DataFrame"]:
    """Every column of a table, `rows` rows at a time; a table without rows is one frame without rows.

    A column has one type in all frames. The types are those of Parquet; of CSV they are found, as pandas
    finds them, in a pass over the whole table before, and an empty field is null.

    Raises:
        FedcartError: of the reading's class: the table is missing, damaged, or lacks a column of the reading.
    """
    return _parquet_frames(reading, rows) if is_parquet(reading) else _csv_frames(reading, rows)


def _parquet_frames(reading: Reading, rows: int) -> Iterator["pd.DataFrame"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = column_names(reading)
    empty = True
    try:
        with pq.ParquetFile(reading.path) as file:
            for batch in file.iter_batches(rows):
                batch.validate(full=True)
                empty = False
                yield batch.to_pandas(types_mapper=_nullable)
            if empty:
                yield file.schema_arrow.empty_table().select(names).to_pandas(types_mapper=_nullable)
    except (pa.ArrowException, OSError):
        raise reading.fault("is damaged or cut short", "write it again", "table-damaged") from None


def _nullable(type_: "pa.DataType") -> "ExtensionDtype | None":
    """Without it, a part of the rows with a null has floating point where another has integers."""
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_boolean(type_):
        return pd.BooleanDtype()
    if pa.types.is_integer(type_):
        return pd.UInt64Dtype() if pa.types.is_unsigned_integer(type_) else pd.Int64Dtype()
    return None


def _csv_frames(reading: Reading, rows: int) -> Iterator["pd.DataFrame"]:
    import pandas as pd

    try:
        with _csv_parts(reading, rows) as parts:
            types = _whole_types(parts)
        with _csv_parts(reading, rows, types) as parts:
            yield from parts
    except (pd.errors.ParserError, UnicodeDecodeError):
        raise reading.fault("is damaged or cut short", "write it again", "table-damaged") from None


def _csv_parts(reading: Reading, rows: int, types: Mapping[Hashable, str] | None = None) -> "TextFileReader":
    import pandas as pd

    layout = csv_layout(reading)
    return pd.read_csv(
        reading.path,
        sep=layout.delimiter,
        skiprows=layout.skipped,
        chunksize=rows,
        encoding="utf-8-sig",
        keep_default_na=False,
        na_values=[""],
        low_memory=False,
        dtype=dict(types or {}),
    )


def _whole_types(parts: "Iterable[pd.DataFrame]") -> dict[Hashable, str]:
    """The types of those columns that could have several, from what pandas finds in each part."""
    from pandas.api.types import infer_dtype

    kinds: dict[Hashable, set[str]] = {}
    for part in parts:
        for name in part:
            present = part[name].dropna()
            found = kinds.setdefault(name, set())
            found.update({infer_dtype(present)} if len(present) else ())
            found.update({_NULL} if len(present) < len(part) else ())
    return {name: _common_type(found) for name, found in kinds.items() if found != {"integer"}}


def _common_type(kinds: set[str]) -> str:
    if kinds <= {"integer", "floating", _NULL}:
        return "float64"
    return "boolean" if kinds <= {"boolean", _NULL} else "str"
