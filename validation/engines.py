"""Where Great Expectations finds the rows that it checks: a batch of them, in a context without trace."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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
