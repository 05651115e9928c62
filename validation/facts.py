"""What is said of a table of labelled text as a whole: shares, class balance and age, as counts that add up.

Great Expectations checks single rows well. What needs two tables, or the rows that cleaning dropped, is
counted here and put before it as a frame of one row, so that every check has a severity and a verdict of
the same form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from fedmodels.data.counts import TableCounts

if TYPE_CHECKING:
    import pandas as pd

_SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True)
class TextFacts:
    """Facts about one party's tables. Shares are in [0, 1]; a share of no rows is 0."""

    null_texts: float
    """Rows without a text, of the rows as the tables hold them."""
    duplicates: float
    """Rows that stand there already, of the same."""
    conflicting_labels: float
    """Rows whose text has two labels, of the same."""
    train_in_holdout: float
    """Holdout rows whose folded text is one of the training rows'."""
    label_shares: dict[str, float]
    """Class of the plan to its share of the rows to train on, those with another label included."""
    age_days: float | None = None
    """Age of the newest row; infinite when no row has a time, `None` when nobody asked."""


def text_facts(counts: TableCounts, labels: Sequence[str], age_days: float | None = None) -> TextFacts:
    """Shares out of counts.

    Args:
        counts: of all rows.
        labels: the classes of the plan.
        age_days: age of the newest row in days, if it is asked for.
    """

    def share_of_raw(name: str) -> float:
        return _share(counts.cleaned.get(name, 0), counts.raw)

    return TextFacts(
        null_texts=share_of_raw("empty_texts"),
        duplicates=share_of_raw("exact_duplicates"),
        conflicting_labels=share_of_raw("conflicting_labels"),
        train_in_holdout=_share(counts.holdout_in_train, counts.holdout),
        label_shares={label: _share(counts.by_label.get(label, 0), counts.train) for label in labels},
        age_days=age_days,
    )


def age_in_days(newest: datetime | None, now: datetime) -> float:
    """Days from the newest row until now; infinite when no row has a time."""
    return math.inf if newest is None else (now - newest).total_seconds() / _SECONDS_PER_DAY


def facts_frame(facts: TextFacts) -> "pd.DataFrame":
    """One row, a column for each fact but the classes."""
    import pandas as pd

    columns = {
        "null_texts": [facts.null_texts],
        "duplicates": [facts.duplicates],
        "conflicting_labels": [facts.conflicting_labels],
        "train_in_holdout": [facts.train_in_holdout],
    }
    if facts.age_days is not None:
        columns["age_days"] = [facts.age_days]
    return pd.DataFrame(columns, dtype=float)


def labels_frame(facts: TextFacts) -> "pd.DataFrame":
    """One row for each class of the plan, with its share."""
    import pandas as pd

    return pd.DataFrame({"share": pd.Series(list(facts.label_shares.values()), dtype=float)})


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
