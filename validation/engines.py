"""Where Great Expectations finds the rows that it checks: a batch of them, in a context without trace."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.contract_schema import Contract
from fedmodels.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.data_context import AbstractDataContext
    from great_expectations.datasource.fluent.interfaces import Batch

BatchOf = Callable[["AbstractDataContext"], "Batch"]
"""Makes the batch of one table in a context."""


def quiet_context() -> "AbstractDataContext":
    """A context in memory that reports nothing to anybody and draws no progress bar."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def frame_batch(frame: "pd.DataFrame") -> BatchOf:
    """All rows of a frame."""

    def make(context: "AbstractDataContext") -> "Batch":
        source = context.data_sources.add_or_update_pandas("frame")
        asset = source.add_dataframe_asset("rows")
        return asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})

    return make


def sqlite_batch(path: Path, table: str) -> BatchOf:
    """All rows of a table, or view, of a file of SQLite, which counts them itself, outside memory."""

    def make(context: "AbstractDataContext") -> "Batch":
        source = context.data_sources.add_or_update_sqlite("file", connection_string=f"sqlite:///{path}")
        asset = source.add_table_asset(table, table_name=table)
        return asset.add_batch_definition_whole_table("all").get_batch()

    return make


def require_engine(contract: Contract) -> None:
    """Refuse a contract whose engine is not installed.

    Raises:
        InputError: it is not.
    """
    if contract.engine == "spark" and find_spec("pyspark") is None:
        raise InputError(
            "The recipe's contract.engine is spark, and pyspark is not installed here",
            fix="install the extra: pip install -e '.[spark]', with a Java runtime, or say pandas",
            code="engine-missing",
        )


def spark_batch(path: Path, scratch: Path, delimiter: str | None = None) -> BatchOf:
    """All rows of a Parquet file, or of a CSV file, as Spark reads it.

    Spark's own files hold rows: they lie in `scratch`. Its web page, which shows queries, is off.

    Args:
        path: the file.
        scratch: private folder.
        delimiter: of a CSV file with a header; without it the file is Parquet.
    """

    def make(context: "AbstractDataContext") -> "Batch":
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.appName("fedcart").config("spark.ui.enabled", "false")
        for place in ("spark.local.dir", "spark.sql.warehouse.dir"):
            builder = builder.config(place, str(scratch))
        reader = builder.getOrCreate().read
        if delimiter is None:
            frame = reader.parquet(str(path))
        else:
            options = {
                "header": True,
                "inferSchema": True,
                "multiLine": True,
                "sep": delimiter,
                "escape": '"',
            }
            frame = reader.options(**options).csv(str(path))
        source = context.data_sources.add_or_update_spark("spark")
        asset = source.add_dataframe_asset(path.stem)
        return asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})

    return make
