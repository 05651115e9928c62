"""A party's data against the contract of the recipe and its own expectations; everything stays with it."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.data.columns import Reading, column_names, most_rows
from fedmodels.data.counts import TableCounts
from fedmodels.data.disk import prepare_on_disk, row_file, rows_to_disk
from fedmodels.data.prepared import PreparedTables, prepare_party_tables
from fedmodels.data.times import newest_time
from fedmodels.data.withdrawn import NOTHING, Withdrawn
from fedmodels.errors import DataRefused
from fedmodels.recipe import Recipe
from infra.settings import Tables
from validation.verdict import ContractVerdict

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

    from validation.contract import PartyRows
    from validation.own_expectations import OwnExpectations, OwnTable


@dataclass(frozen=True)
class Terms:
    """What a party's data are held against, and where they lie."""

    recipe: Recipe
    labels: tuple[str, ...]
    """The classes of the plan."""
    tables: Tables
    """The party's own tables, and its own expectations."""
    withdrawn: Withdrawn = NOTHING
    """Rows of them that their owners took back: they are left out."""

    @property
    def paths(self) -> "dict[OwnTable, Path]":
        """The files of the tables, `train` first."""
        named: dict[OwnTable, Path | None] = {"train": self.tables.train, "holdout": self.tables.holdout}
        return {name: path for name, path in named.items() if path is not None}


@dataclass(frozen=True)
class Outcome:
    """What became of the data."""

    verdict: ContractVerdict
    full: "dict[str, ExpectationSuiteValidationResult]"
    """By part, what Great Expectations said of it, with values of the rows."""
    counts: TableCounts
    until: datetime | None
    """When the verdict ends though nothing changes; `None` when it does not."""


def check_terms(terms: Terms) -> None:
    """Refuse terms that no table could be held against; of the tables only the columns' names are read.

    A table that is not there is passed over: reading it says so.

    Raises:
        InputError: the party's own expectations are wrong, or the engine is not installed.
        DataRefused: the recipe names a column of times that a table does not have.
    """
    from validation.engines import require_engine
    from validation.own_tables import own_suites

    require_engine(terms.recipe.contract)
    paths: dict[str, Path] = {name: path for name, path in terms.paths.items() if path.exists()}
    own, fresh = _own(terms), terms.recipe.contract.freshness
    if own is not None and len(paths) == len(terms.paths):
        own_suites(own, terms.paths, terms.recipe.data)
    if fresh is not None:
        if (labelled := _labelled_fresh(terms)) is not None:
            paths["fresh"] = labelled
        for name, path in paths.items():
            column_names(Reading(path, (fresh.column,), f"The {name} table", DataRefused))


def check_tables(terms: Terms, now: datetime, scratch: Path) -> Outcome:
    """`check_rows`, for tables that nobody has read yet; large ones are never in memory.

    Raises:
        InputError, DataRefused: as `check_terms` and `check_rows`.
    """
    check_terms(terms)
    recipe, tables = terms.recipe, terms.tables
    train, holdout, fresh = tables.train, tables.holdout, tables.fresh
    if train is None or _most_rows(terms) <= recipe.contract.rows_in_memory:
        prepared = prepare_party_tables(
            train,
            holdout,
            recipe.data,
            terms.labels,
            seed=recipe.seed,
            fresh=fresh,
            withdrawn=terms.withdrawn,
        )
        return check_rows(terms, prepared, now, scratch)
    with row_file(scratch) as path:
        counts = prepare_on_disk(
            path,
            train,
            holdout,
            recipe.data,
            terms.labels,
            seed=recipe.seed,
            fresh=fresh,
            withdrawn=terms.withdrawn,
        )
        return _check_on_disk(terms, path, counts, now, scratch)


def check_rows(terms: Terms, prepared: PreparedTables, now: datetime, scratch: Path) -> Outcome:
    """Hold a party's data against its contract.

    Args:
        terms: the contract, and where the party's tables lie.
        prepared: the clean rows of those tables.
        now: the time from which the age of the newest row is counted.
        scratch: private folder for what is checked from disk.

    Raises:
        InputError: the party's own expectations are wrong, or the engine is not installed.
        DataRefused: a table is missing or damaged, or has no column of times that the recipe names.
    """
    from validation.contract import rows_in_memory
    from validation.engines import require_engine

    contract = terms.recipe.contract
    require_engine(contract)
    train, holdout, cleaned = prepared.train, prepared.holdout, prepared.counts
    if contract.engine == "pandas" and len(train) + len(holdout) <= contract.rows_in_memory:
        return _check(terms, rows_in_memory(train, holdout, cleaned), now, scratch)
    with row_file(scratch) as path:
        counts = rows_to_disk(path, train, holdout, Counter(cleaned), terms.labels)
        return _check_on_disk(terms, path, counts, now, scratch)


def _check_on_disk(terms: Terms, path: Path, counts: TableCounts, now: datetime, scratch: Path) -> Outcome:
    from validation.contract import rows_on_disk

    rows = rows_on_disk(path, counts, spark=terms.recipe.contract.engine == "spark")
    return _check(terms, rows, now, scratch)


def _check(terms: Terms, rows: "PartyRows", now: datetime, scratch: Path) -> Outcome:
    from validation.contract import check_contract
    from validation.facts import age_in_days
    from validation.own_tables import check_own_tables

    data, contract, age, until = terms.recipe.data, terms.recipe.contract, None, None
    if fresh := contract.freshness:
        newest = _newest(terms, fresh.column)
        age = age_in_days(newest, now)
        until = freshness_ends(newest, fresh.max_age_days, now)
    verdict, full = check_contract(rows, data, terms.labels, contract, age)
    if (own := _own(terms)) is not None:
        of_own, of_own_full = check_own_tables(own, terms.paths, data, contract, scratch)
        verdict, full = verdict + of_own, {**full, **of_own_full}
    return Outcome(verdict, full, rows.counts, until)


def _newest(terms: Terms, column: str) -> datetime | None:
    """Time of the newest row that the contract is about; fresh rows without a label are not among them."""
    found = [newest_time(terms.paths.values(), column, error=DataRefused)]
    if (fresh := _labelled_fresh(terms)) is not None:
        found.append(newest_time((fresh,), column, error=DataRefused, label=terms.recipe.data.label))
    return max((each for each in found if each is not None), default=None)


def _labelled_fresh(terms: Terms) -> Path | None:
    """The fresh table, once there is one with a column of labels: without, it brings no row to train on."""
    fresh, data = terms.tables.fresh, terms.recipe.data
    if fresh is None or not fresh.exists():
        return None
    names = column_names(Reading(fresh, (data.text,), "The fresh table", DataRefused))
    return fresh if data.label in names else None


def _most_rows(terms: Terms) -> int:
    data, fresh = terms.recipe.data, terms.tables.fresh
    readings = [
        Reading(path, (data.text, data.label), f"The {name} table", DataRefused)
        for name, path in terms.paths.items()
    ]
    if fresh is not None and fresh.exists():
        readings.append(Reading(fresh, (data.text,), "The fresh table", DataRefused))
    return sum(map(most_rows, readings))


def freshness_ends(newest: datetime | None, max_age_days: float, now: datetime) -> datetime | None:
    """When a verdict on freshness ends though no row changes: what is fresh grows old.

    Args:
        newest: time of the newest row, if any has one.
        max_age_days: the contract's bound.
        now: when the verdict was found.

    Returns:
        `None` when it does not end, since old rows stay old; `now` for a row of the future.
    """
    if newest is None:
        return None
    if newest > now:
        return now
    old = newest + timedelta(days=max_age_days)
    return old if old >= now else None


def _own(terms: Terms) -> "OwnExpectations | None":
    from validation.own_expectations import read_own_expectations

    path = terms.tables.expectations
    return None if path is None else read_own_expectations(path)
