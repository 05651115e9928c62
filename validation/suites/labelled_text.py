"""What labelled text has to be before anybody trains on it, as a Great Expectations suite.

A critical failure keeps the party out of the round; a warning only travels with its report.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fedmodels.data.rows import LabelledTexts

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite

Part = Literal["train", "holdout"]
COLUMNS = ("text", "label", "text_folded")
"""`text_folded` is the text without case, blanks and punctuation: rows equal in it are near-duplicates."""
_PUNCTUATION = re.compile(r"[\W_]+")
LEAST_DISTINCT = 0.8
"""Share of folded texts that are distinct, below which there is a warning about near-duplicates."""


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


def fold(text: str) -> str:
    """Letters and digits of a text, case-folded; the text itself when it has none."""
    return _PUNCTUATION.sub("", text.casefold()) or text


def labelled_text_suite(
    labels: Sequence[str], min_rows: int, max_text_length: int, part: Part = "train"
) -> "ExpectationSuite":
    """The expectations on one table. A holdout may be small, and may lack a class.

    Args:
        labels: the classes of the plan.
        min_rows: rows below which a party's training table is refused.
        max_text_length: characters beyond which a text is surely not what was meant.
        part: which of the party's tables it is for.
    """
    import great_expectations as gx
    import great_expectations.expectations as expect
    from great_expectations.expectations.metadata_types import FailureSeverity

    critical, warning = FailureSeverity.CRITICAL, FailureSeverity.WARNING
    expectations = [
        expect.ExpectTableColumnsToMatchSet(column_set=list(COLUMNS), exact_match=True, severity=critical),
        expect.ExpectColumnValuesToBeOfType(column="text", type_="str", severity=critical),
        expect.ExpectColumnValuesToNotBeNull(column="text", severity=critical),
        expect.ExpectColumnValueLengthsToBeBetween(column="text", min_value=1, severity=critical),
        expect.ExpectColumnValueLengthsToBeBetween(
            column="text", max_value=max_text_length, severity=warning
        ),
        expect.ExpectColumnValuesToNotBeNull(column="label", severity=critical),
        expect.ExpectColumnValuesToBeInSet(column="label", value_set=list(labels), severity=critical),
        expect.ExpectColumnProportionOfUniqueValuesToBeBetween(
            column="text_folded", min_value=LEAST_DISTINCT, severity=warning
        ),
    ]
    if part == "train":
        expectations += [
            expect.ExpectColumnUniqueValueCountToBeBetween(column="label", min_value=2, severity=critical),
            expect.ExpectTableRowCountToBeBetween(min_value=min_rows, severity=critical),
        ]
    return gx.ExpectationSuite(name=f"labelled_text_{part}", expectations=expectations)
