"""The data contract of a recipe: what a party's rows must be before it takes part.

A contract is a set of bounds, each with a severity. From it `validation/suites` builds the expectations;
here are only the numbers, so that they travel with the plan and are the same at every party.

A further kind of data adds a class with its own `kind`, joins `Contract`, and is named in `KIND_OF` by the
use cases that learn from it.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fedmodels.section import PositiveFloat, Section, Share

Severity = Literal["critical", "warning"]
"""`critical` keeps the party out of the round, `warning` travels with its report."""
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]


class AtMost(Section):
    """A share that must not be exceeded."""

    max_share: Share
    severity: Severity = "warning"


class AtLeast(Section):
    """A share that must be reached."""

    min_share: PositiveShare
    severity: Severity = "warning"


class RowCount(Section):
    """Upper bound of the rows to train on; the lower one is `data.min_rows`."""

    max: int | None = Field(None, ge=1)
    severity: Severity = "critical"


class TextLength(Section):
    """Characters of a text: at least `min`, at most `data.max_text_length`, each with its own severity."""

    min: int = Field(1, ge=1)
    severity: Severity = "critical"
    max_severity: Severity = "warning"


class TextPattern(Section):
    """A regular expression that is found in at least `min_share` of the texts."""

    regex: str = Field(min_length=1)
    min_share: PositiveShare = 1.0
    severity: Severity = "warning"

    @field_validator("regex")
    @classmethod
    def _compiles(cls, regex: str) -> str:
        try:
            re.compile(regex)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return regex


class LabelBalance(Section):
    """The share that each class of the plan has among the rows to train on."""

    min_share: Share = 0.02
    max_share: PositiveShare = 0.98
    severity: Severity = "warning"

    @model_validator(mode="after")
    def _in_order(self) -> "LabelBalance":
        if self.min_share > self.max_share:
            raise ValueError(f"min_share is {self.min_share:g}, above max_share ({self.max_share:g})")
        return self


class Freshness(Section):
    """The newest row is at most `max_age_days` old by `column`, a column of times in the party's table."""

    column: str = Field(min_length=1)
    max_age_days: PositiveFloat
    severity: Severity = "warning"


class LabelledTextContract(Section):
    """Bounds on labelled text. `None` switches a check off; types, labels and classes are always checked.

    Shares of `null_texts`, `duplicates` and `conflicting_labels` are of the rows as the table holds them,
    before cleaning drops such rows; everything else is said of the rows that are left.

    `engine` says what checks: `pandas` in this process, from disk when a table has more than
    `rows_in_memory` rows; `spark` needs the extra `spark`.
    """

    kind: Literal["labelled-text"] = "labelled-text"
    engine: Literal["pandas", "spark"] = "pandas"
    rows_in_memory: int = Field(200_000, ge=1)
    row_count: RowCount = RowCount()
    text_length: TextLength = TextLength()
    text_pattern: TextPattern | None = None
    null_texts: AtMost | None = AtMost(max_share=0.5)
    duplicates: AtMost | None = AtMost(max_share=0.5)
    conflicting_labels: AtMost | None = AtMost(max_share=0.1)
    uniqueness: AtLeast | None = AtLeast(min_share=0.8)
    train_in_holdout: AtMost | None = AtMost(max_share=0.05)
    label_balance: LabelBalance | None = LabelBalance()
    freshness: Freshness | None = None


Contract = LabelledTextContract
"""Of any kind: a union, told apart by `kind`, once there are two."""

KIND_OF: dict[str, str] = {"review-sentiment": "labelled-text"}
"""Use case to the kind of data that it learns from."""
