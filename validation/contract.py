"""A party's data against their contract: a verdict without a value, and a full result that stays there.

Great Expectations writes values of the data into its BASIC and SUMMARY results, e-mail addresses and all.
So two things come back: the verdict, which may leave the party and holds no more than BOOLEAN_ONLY and
counts would, and the full results, which the caller keeps in a folder of the party's own, or drops.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fedmodels.contract_schema import Contract, Severity
from fedmodels.data.counts import TableCounts, count_rows
from fedmodels.data.disk import view_to_parquet
from fedmodels.data.rows import LabelledTexts
from fedmodels.recipe import DataConfig
from validation.engines import BatchOf, frame_batch, quiet_context, spark_batch, sqlite_batch
from validation.facts import facts_frame, labels_frame, text_facts
from validation.suites.labelled_text import Engine, Part, labelled_text_frame
from validation.suites.registry import kind_of
from validation.verdict import ContractVerdict, Finding

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.data_context import AbstractDataContext


@dataclass(frozen=True)
class PartyRows:
    """A party's clean rows as the contract looks at them: two batches, and counts of the whole."""

    engine: Engine
    train: BatchOf
    holdout: BatchOf
    counts: TableCounts


def rows_in_memory(
    train: LabelledTexts, holdout: LabelledTexts, cleaned: Mapping[str, int] | None = None
) -> PartyRows:
    """Rows that are in memory, checked as frames.

    Args:
        train: rows to train on.
        holdout: rows to score on.
        cleaned: what cleaning changed, in rows.
    """
    return PartyRows(
        engine="pandas",
        train=lambda context: frame_batch(labelled_text_frame(train))(context),
        holdout=lambda context: frame_batch(labelled_text_frame(holdout))(context),
        counts=count_rows(train, holdout, cleaned or {}),
    )


def rows_on_disk(path: Path, counts: TableCounts, *, spark: bool = False) -> PartyRows:
    """Rows that lie in a file of SQLite, checked there or, from Parquet beside it, by Spark.

    Args:
        path: of `row_file`, filled.
        counts: of its rows.
        spark: who checks them.
    """
    if spark:
        private = path.parent
        files = {view: private / f"{view}.parquet" for view in ("train", "holdout")}
        for view, file in files.items():
            view_to_parquet(path, view, file)
        train, holdout = (spark_batch(file, private) for file in files.values())
        return PartyRows("spark", train, holdout, counts)
    return PartyRows("sqlite", sqlite_batch(path, "train"), sqlite_batch(path, "holdout"), counts)


def check_contract(
    rows: PartyRows,
    data: DataConfig,
    labels: Sequence[str],
    contract: Contract,
    age_days: float | None = None,
) -> "tuple[ContractVerdict, dict[str, ExpectationSuiteValidationResult]]":
    """Hold a party's clean rows against the contract of the recipe.

    A holdout without a row is not checked, since it then scores nothing.

    Args:
        rows: the party's rows.
        data: the recipe's `data` section.
        labels: the classes of the plan.
        contract: the recipe's `contract` section.
        age_days: age of the newest row, which a contract with `freshness` needs.

    Returns:
        The verdict, and by part the full result with examples of what failed.
    """
    facts = text_facts(rows.counts, labels, age_days)
    batches: dict[Part, BatchOf] = {
        "train": rows.train,
        "holdout": rows.holdout,
        "facts": frame_batch(facts_frame(facts)),
        "labels": frame_batch(labels_frame(facts)),
    }
    context, kind = quiet_context(), kind_of(contract)
    whole = ContractVerdict()
    full: dict[str, ExpectationSuiteValidationResult] = {}
    for part in kind.parts:
        if part == "holdout" and rows.counts.holdout == 0:
            continue
        engine: Engine = rows.engine if part in ("train", "holdout") else "pandas"
        suite = kind.build(labels, data, contract, part, engine)
        if not suite.expectations:
            continue
        verdict, full[part] = check_batch(batches[part], suite, part, context)
        whole += verdict
    return whole, full


def check_batch(
    batch: BatchOf, suite: "ExpectationSuite", part: str, context: "AbstractDataContext"
) -> "tuple[ContractVerdict, ExpectationSuiteValidationResult]":
    """Run a suite over a batch.

    An expectation that cannot be evaluated, for want of its column say, has failed.

    Args:
        batch: makes the batch.
        suite: the expectations.
        part: of the party's data; stands before the column's name in `failed`.
        context: in which the batch is made.

    Returns:
        The verdict, and the full result, values and all.
    """
    result = batch(context).validate(suite, result_format="SUMMARY")
    return ContractVerdict(tuple(_finding(each, part) for each in result.results)), result


def as_json(result: "ExpectationSuiteValidationResult") -> dict[str, Any]:
    """A full result as JSON, with values of the rows: it stays with its party."""
    document: dict[str, Any] = result.to_json_dict()  # type: ignore[no-untyped-call]
    return document


def _finding(result: "ExpectationValidationResult", part: str) -> Finding:
    config = result.expectation_config
    assert config is not None
    rows, unexpected = (_count(result.result.get(name)) for name in ("element_count", "unexpected_count"))
    if rows == 0 and unexpected is None:  # SQL's sum over no rows
        unexpected = 0
    return Finding(
        part=part,
        expectation=config.type,
        column="" if part == "own" else str(config.kwargs.get("column", "table")),
        severity=cast("Severity", config.severity.value),
        passed=bool(result.success),
        rows=rows,
        unexpected=unexpected,
        evaluated=not _raised(result.exception_info),
    )


def _raised(info: Mapping[str, Any] | None) -> bool:
    """Whether an exception ended the evaluation; the facts of several metrics lie one level deeper."""
    facts = info or {}
    nested = (fact for fact in facts.values() if isinstance(fact, dict))
    return bool(facts.get("raised_exception")) or any(fact.get("raised_exception") for fact in nested)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
