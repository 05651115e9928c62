"""A party's tables as they are stored, against what the party itself expects of them.

However few rows a table has, it is checked in a file of SQLite, unless the recipe asks for Spark: pandas does
not evaluate every expectation as SQL does, and a verdict must not change when a table grows.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fedmodels.contract_schema import Contract
from fedmodels.data.columns import BATCH_ROWS, Reading, column_names, csv_layout, is_parquet
from fedmodels.data.disk import frames_to_disk, row_file
from fedmodels.data.frames import table_frames
from fedmodels.errors import DataRefused, InputError
from fedmodels.recipe import DataConfig
from validation.contract import check_batch
from validation.engines import BatchOf, quiet_context, spark_batch, sqlite_batch
from validation.own_expectations import FILE, OwnExpectations, OwnTable, own_suite
from validation.verdict import ContractVerdict

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult


def own_suites(
    own: OwnExpectations, tables: Mapping[OwnTable, Path], data: DataConfig
) -> "dict[OwnTable, ExpectationSuite]":
    """The party's suites by table. Of the tables only the names of the columns are read.

    Args:
        own: the party's file.
        tables: where the party's tables lie.
        data: the recipe's `data` section.

    Raises:
        InputError: as `own_suite`, or the party has no such table.
        DataRefused: a table is missing, damaged, or lacks the text or the label column.
    """
    suites: dict[OwnTable, ExpectationSuite] = {}
    for entry in own.expectations:
        if entry.table not in tables:
            raise InputError(
                f"The party's {FILE} speaks of its {entry.table} table, which its settings do not name",
                fix=f"set {entry.table} beside train in the party's fedcart.toml, or say table: train",
                code="expectation-table-missing",
            )
        if entry.table not in suites:
            columns = column_names(_reading(tables[entry.table], entry.table, data))
            suites[entry.table] = own_suite(own, entry.table, columns)
    return suites


def check_own_tables(
    own: OwnExpectations,
    tables: Mapping[OwnTable, Path],
    data: DataConfig,
    contract: Contract,
    scratch: Path,
) -> "tuple[ContractVerdict, dict[str, ExpectationSuiteValidationResult]]":
    """Hold a party's tables, as they are stored, against its own expectations.

    Args:
        own: the party's file.
        tables: where the party's tables lie.
        data: the recipe's `data` section.
        contract: the recipe's `contract` section, of which the engine counts.
        scratch: private folder for the rows.

    Returns:
        The verdict, which names no column of the party's, and by `own_TABLE` the full result.

    Raises:
        InputError: as `own_suites`.
        DataRefused: a table is missing or damaged.
    """
    context, whole = quiet_context(), ContractVerdict()
    full: dict[str, ExpectationSuiteValidationResult] = {}
    for table, suite in own_suites(own, tables, data).items():
        reading = _reading(tables[table], table, data)
        with _batch(reading, table, contract, scratch) as batch:
            verdict, full[f"own_{table}"] = check_batch(batch, suite, "own", context)
        whole += verdict
    return whole, full


@contextmanager
def _batch(reading: Reading, table: OwnTable, contract: Contract, scratch: Path) -> Iterator[BatchOf]:
    if contract.engine == "spark":
        yield from _spark_batch(reading, scratch)
        return
    with row_file(scratch) as path:
        frames_to_disk(path, table, table_frames(reading, BATCH_ROWS))
        yield sqlite_batch(path, table)


def _spark_batch(reading: Reading, scratch: Path) -> Iterator[BatchOf]:
    """Spark takes the first line of a CSV file for its header: what stands before it a copy leaves out."""
    if is_parquet(reading):
        yield spark_batch(reading.path, scratch)
        return
    layout = csv_layout(reading)
    with TemporaryDirectory(dir=scratch) as private:
        path = reading.path
        if layout.skipped:
            path = Path(private) / reading.path.name
            with reading.path.open("rb") as whole, path.open("wb") as copy:
                for _ in range(layout.skipped):
                    whole.readline()
                shutil.copyfileobj(whole, copy)
        yield spark_batch(path, scratch, layout.delimiter)


def _reading(path: Path, table: OwnTable, data: DataConfig) -> Reading:
    return Reading(path, (data.text, data.label), f"The {table} table", DataRefused)
