"""A party's data against the contract of the recipe and its own expectations; everything stays with it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.data.columns import Reading, column_names
from fedmodels.data.prepared import PreparedTables
from fedmodels.errors import DataRefused
from fedmodels.recipe import Recipe
from infra.settings import Tables

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

    from validation.own_expectations import OwnExpectations, OwnTable
    from validation.verdict import ContractVerdict


@dataclass(frozen=True)
class Terms:
    """What a party's data are held against, and where they lie."""

    recipe: Recipe
    labels: tuple[str, ...]
    """The classes of the plan."""
    tables: Tables
    """The party's own tables, and its own expectations."""

    @property
    def paths(self) -> "dict[OwnTable, Path]":
        """The files of the tables, `train` first."""
        named: dict[OwnTable, Path | None] = {"train": self.tables.train, "holdout": self.tables.holdout}
        return {name: path for name, path in named.items() if path is not None}


def check_terms(terms: Terms) -> None:
    """Refuse terms that no table could be held against; of the tables only the columns' names are read.

    A table that is not there is passed over: reading it says so.

    Raises:
        InputError: the party's own expectations are wrong, or the engine is not installed.
        DataRefused: the recipe names a column of times that a table does not have.
    """
    from validation.own_tables import own_suites

    paths = {name: path for name, path in terms.paths.items() if path.exists()}
    own, fresh = _own(terms), terms.recipe.contract.freshness
    if own is not None and len(paths) == len(terms.paths):
        own_suites(own, paths, terms.recipe.data)
    if fresh is not None:
        for name, path in paths.items():
            column_names(Reading(path, (fresh.column,), f"The {name} table", DataRefused))


def check_rows(
    terms: Terms, prepared: PreparedTables, now: datetime | None = None
) -> "tuple[ContractVerdict, dict[str, ExpectationSuiteValidationResult]]":
    """Hold a party's data against its contract.

    Args:
        terms: the contract, and where the party's tables lie.
        prepared: the clean rows of those tables.
        now: the time from which the age of the newest row is counted; by default this moment.

    Returns:
        The verdict, and by part the full result with values of the rows.

    Raises:
        InputError: the party's own expectations are wrong.
        DataRefused: a table is missing or damaged, or has no column of times that the recipe names.
    """
    from fedmodels.data.times import newest_time
    from validation.contract import check_contract, rows_in_memory
    from validation.facts import age_in_days
    from validation.own_tables import check_own_tables

    data, contract, age = terms.recipe.data, terms.recipe.contract, None
    if contract.freshness is not None:
        newest = newest_time(terms.paths.values(), contract.freshness.column, error=DataRefused)
        age = age_in_days(newest, now or datetime.now(UTC))
    rows = rows_in_memory(prepared.train, prepared.holdout, prepared.counts)
    verdict, full = check_contract(rows, data, terms.labels, contract, age)
    if (own := _own(terms)) is not None:
        of_own, of_own_full = check_own_tables(own, terms.paths, data)
        verdict, full = verdict + of_own, {**full, **of_own_full}
    return verdict, full


def _own(terms: Terms) -> "OwnExpectations | None":
    from validation.own_expectations import read_own_expectations

    path = terms.tables.expectations
    return None if path is None else read_own_expectations(path)
