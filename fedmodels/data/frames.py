"""A party's table as it is stored, every column of it, as frames."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedmodels.data.columns import Reading, column_names, csv_layout, is_parquet

if TYPE_CHECKING:
    import pandas as pd


def table_frames(reading: Reading, rows: int) -> Iterator["pd.DataFrame"]:
    """Every column of a table, `rows` rows at a time; a table without rows is one frame without rows.

    The types are those of Parquet; of CSV they are found part by part, as pandas does, and an empty field
    is null.

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
                yield batch.to_pandas()
            if empty:
                yield file.schema_arrow.empty_table().select(names).to_pandas()
    except (pa.ArrowException, OSError):
        raise reading.fault("is damaged or cut short", "write it again", "table-damaged") from None


def _csv_frames(reading: Reading, rows: int) -> Iterator["pd.DataFrame"]:
    import pandas as pd

    layout = csv_layout(reading)
    try:
        with pd.read_csv(
            reading.path,
            sep=layout.delimiter,
            skiprows=layout.skipped,
            chunksize=rows,
            encoding="utf-8-sig",
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
        ) as parts:
            yield from parts
    except (pd.errors.ParserError, UnicodeDecodeError):
        raise reading.fault("is damaged or cut short", "write it again", "table-damaged") from None
