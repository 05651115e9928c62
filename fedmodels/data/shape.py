"""What a table looks like from outside: its rows, and its columns with their types. No value of it."""

from dataclasses import dataclass
from pathlib import Path

from fedmodels.data.columns import Reading, csv_layout, is_parquet, parquet_schema
from fedmodels.errors import FedcartError, InputError

_BLOCK = 2**24


@dataclass(frozen=True)
class TableShape:
    """`columns` are names and Arrow types, in order; those of a CSV are all strings."""

    rows: int
    columns: tuple[tuple[str, str], ...]


def table_shape(
    path: Path, text: str, label: str, *, table: str, error: type[FedcartError] = InputError
) -> TableShape:
    """Count the rows of a Parquet file by its footer, those of a CSV by reading it.

    Args:
        path: the file.
        text: name of the text column.
        label: name of the label column.
        table: what the file is to its owner, for messages: `train`, `holdout`, ...
        error: class of what is raised.

    Raises:
        FedcartError: of class `error`: the file is missing, of another format or damaged, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    reading = Reading(path, (text, label), f"The {table} table", error)
    try:
        if is_parquet(reading):
            schema = parquet_schema(reading)
            rows = pq.read_metadata(path).num_rows
            return TableShape(int(rows), tuple((field.name, str(field.type)) for field in schema))
        layout = csv_layout(reading)
        with pyarrow.csv.open_csv(
            path,
            pyarrow.csv.ReadOptions(skip_rows=layout.skipped, block_size=_BLOCK),
            pyarrow.csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(
                include_columns=[text], column_types={text: pa.binary()}, check_utf8=False
            ),
        ) as batches:
            rows = sum(batch.num_rows for batch in batches)
    except (pa.ArrowException, OSError):
        raise reading.fault("is damaged or cut short", "write it again", "table-damaged") from None
    return TableShape(int(rows), tuple((name, "string") for name in layout.names))
