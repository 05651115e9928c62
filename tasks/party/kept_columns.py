"""Further columns of the rows that a party keeps, on disk: as many bytes as their values have.

`columns.parquet` in the folder of the rows; `columns.npz` where an older version of fedcart kept them, which
padded every category to the longest.
"""

import io
from collections.abc import Mapping
from pathlib import Path

from fedmodels.data.fresh import Column
from infra.private_files import read_npz, write_private

COLUMNS, _OLD_COLUMNS = "columns.parquet", "columns.npz"


def write_columns(folder: Path, columns: Mapping[str, Column]) -> None:
    """Keep columns of numbers and categories, each of one value or `None` a row.

    Raises:
        InputError: the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {
        name: pa.array(values, pa.large_string() if _has_text(values) else pa.float64())
        for name, values in columns.items()
    }
    content = io.BytesIO()
    pq.write_table(pa.table(arrays), content, compression="zstd")
    write_private(folder / COLUMNS, content.getbuffer())


def read_columns(folder: Path) -> dict[str, Column] | None:
    """The columns of a folder, or `None` when there are none or they are garbled."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(folder / COLUMNS, partitioning=None)
        table.validate(full=True)
        return {name: table.column(name).to_pylist() for name in table.column_names}
    except FileNotFoundError:
        return _read_old(folder)
    except (pa.ArrowException, OSError):
        return None


def _read_old(folder: Path) -> dict[str, Column] | None:
    arrays = read_npz(folder / _OLD_COLUMNS)
    if arrays is None:
        return None
    columns: dict[str, Column] = {}
    for key, array in arrays.items():
        kind, _, name = key.partition("/")
        values = array.tolist()
        columns[name] = [value or None for value in values] if kind == "category" else values
    return columns


def _has_text(values: Column) -> bool:
    return any(isinstance(value, str) for value in values)
