"""What labelled text has to be before anybody trains on it, as Great Expectations suites.

One suite for each part of a party's data: the rows to train on, the holdout, the facts about both as a
whole (`validation/facts.py`), and the classes. A critical failure keeps the party out of the round; a
warning only travels with its report.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fedmodels.contract_schema import LabelledTextContract, Severity
from fedmodels.data.cleaning import fold
from fedmodels.data.rows import LabelledTexts
from fedmodels.recipe import DataConfig

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation
    from great_expectations.expectations.metadata_types import FailureSeverity

Part = Literal["train", "holdout", "facts", "labels"]
Engine = Literal["pandas", "sqlite", "spark"]
COLUMNS = ("text", "label", "text_folded")
"""`text_folded` is the text without case, blanks and punctuation: rows equal in it are near-duplicates."""
_STRING: dict[Engine, str] = {"pandas": "str", "sqlite": "TEXT", "spark": "StringType"}
"""How each engine calls the type of a text."""
_YOUNGEST_DAYS = -1.0
"""A newest row that is further in the future than a time zone explains has no believable time."""


def labelled_text_frame(rows: LabelledTexts) -> "pd.DataFrame":
    """The rows as the suite sees them; a label that was not given is null."""
    import pandas as pd

    return pd.DataFrame(
        {
            "text": pd.Series(rows.texts, dtype=object),
            "label": pd.Series([label or None for label in rows.labels], dtype=object),
            "text_folded": pd.Series([fold(text) for text in rows.texts], dtype=object),
        }
    )


def labelled_text_suite(
    labels: Sequence[str],
    data: DataConfig,
    contract: LabelledTextContract,
    part: Part = "train",
    engine: Engine = "pandas",
) -> "ExpectationSuite":
    """The expectations on one part. A holdout may be small, and may lack a class.

    Args:
        labels: the classes of the plan.
        data: the recipe's `data` section, with `min_rows` and `max_text_length`.
        contract: the recipe's `contract` section.
        part: which part of the party's data it is for.
        engine: what the rows are in: a frame, a table of SQLite, or a frame of Spark.
    """
    import great_expectations as gx

    if part == "facts":
        expectations = _facts(contract)
    elif part == "labels":
        expectations = _labels(contract)
    else:
        expectations = _rows(labels, data, contract, engine)
        if part == "train":
            expectations += _training_rows(data, contract)
    return gx.ExpectationSuite(name=f"labelled_text_{part}", expectations=expectations)


def _rows(
    labels: Sequence[str], data: DataConfig, contract: LabelledTextContract, engine: Engine
) -> list["Expectation"]:
    import great_expectations.expectations as expect

    critical, length = severity_of("critical"), contract.text_length
    expectations: list[Expectation] = [
        expect.ExpectTableColumnsToMatchSet(column_set=list(COLUMNS), exact_match=True, severity=critical),
        expect.ExpectColumnValuesToBeOfType(column="text", type_=_STRING[engine], severity=critical),
        expect.ExpectColumnValuesToNotBeNull(column="text", severity=critical),
        expect.ExpectColumnValueLengthsToBeBetween(
            column="text", min_value=length.min, severity=severity_of(length.severity)
        ),
        expect.ExpectColumnValueLengthsToBeBetween(
            column="text", max_value=data.max_text_length, severity=severity_of(length.max_severity)
        ),
        expect.ExpectColumnValuesToNotBeNull(column="label", severity=critical),
        expect.ExpectColumnValuesToBeInSet(column="label", value_set=list(labels), severity=critical),
    ]
    if bound := contract.uniqueness:
        expectations.append(
            expect.ExpectColumnProportionOfUniqueValuesToBeBetween(
                column="text_folded", min_value=bound.min_share, severity=severity_of(bound.severity)
            )
        )
    if pattern := contract.text_pattern:
        expectations.append(
            expect.ExpectColumnValuesToMatchRegex(
                column="text",
                regex=pattern.regex,
                mostly=pattern.min_share,
                severity=severity_of(pattern.severity),
            )
        )
    return expectations


def _training_rows(data: DataConfig, contract: LabelledTextContract) -> list["Expectation"]:
    import great_expectations.expectations as expect

    critical, count = severity_of("critical"), contract.row_count
    expectations: list[Expectation] = [
        expect.ExpectColumnUniqueValueCountToBeBetween(column="label", min_value=2, severity=critical),
        expect.ExpectTableRowCountToBeBetween(min_value=data.min_rows, severity=critical),
    ]
    if count.max is not None:
        expectations.append(
            expect.ExpectTableRowCountToBeBetween(max_value=count.max, severity=severity_of(count.severity))
        )
    return expectations


def _facts(contract: LabelledTextContract) -> list["Expectation"]:
    import great_expectations.expectations as expect

    bounds = {
        "null_texts": contract.null_texts,
        "duplicates": contract.duplicates,
        "conflicting_labels": contract.conflicting_labels,
        "train_in_holdout": contract.train_in_holdout,
    }
    expectations: list[Expectation] = [
        expect.ExpectColumnValuesToBeBetween(
            column=column, max_value=bound.max_share, severity=severity_of(bound.severity)
        )
        for column, bound in bounds.items()
        if bound is not None
    ]
    if fresh := contract.freshness:
        expectations.append(
            expect.ExpectColumnValuesToBeBetween(
                column="age_days",
                min_value=_YOUNGEST_DAYS,
                max_value=fresh.max_age_days,
                severity=severity_of(fresh.severity),
            )
        )
    return expectations


def _labels(contract: LabelledTextContract) -> list["Expectation"]:
    import great_expectations.expectations as expect

    if (balance := contract.label_balance) is None:
        return []
    return [
        expect.ExpectColumnValuesToBeBetween(
            column="share",
            min_value=balance.min_share,
            max_value=balance.max_share,
            severity=severity_of(balance.severity),
        )
    ]


def severity_of(severity: Severity) -> "FailureSeverity":
    """The severity as Great Expectations knows it."""
    from great_expectations.expectations.metadata_types import FailureSeverity

    return FailureSeverity(severity)
