"""Counts of clean tables of labelled text: of a party's, for its contract; of the coordinator's, to warn."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fedmodels.data.cleaning import fold
from fedmodels.data.rows import LabelledTexts
from fedmodels.words import counted

DROPPED = ("empty_texts", "exact_duplicates", "conflicting_labels", "train_texts_in_holdout")
"""Counts of cleaning that are rows which it took away."""
FEW_ROWS = 50
"""Of a set that scores models. With fewer, one row moves accuracy by more than 0.02, the fall that the gate
takes by its default."""


@dataclass(frozen=True)
class TableCounts:
    """What a party's tables hold, in rows: each number is a sum over parts, whatever reads them."""

    train: int
    holdout: int
    by_label: Mapping[str, int]
    """Label to its training rows."""
    holdout_in_train: int
    cleaned: Mapping[str, int]
    """What cleaning changed, in rows, as `PreparedTables.counts`."""

    @property
    def raw(self) -> int:
        """Rows as the tables hold them, before cleaning took any away."""
        return self.train + self.holdout + sum(self.cleaned.get(name, 0) for name in DROPPED)


def count_rows(train: LabelledTexts, holdout: LabelledTexts, cleaned: Mapping[str, int]) -> TableCounts:
    """The counts of rows that are in memory."""
    folded = {fold(text) for text in train.texts} if len(holdout) else set()
    return TableCounts(
        train=len(train),
        holdout=len(holdout),
        by_label=Counter(train.labels),
        holdout_in_train=sum(fold(text) in folded for text in holdout.texts),
        cleaned=cleaned,
    )


def few_rows(sizes: Mapping[str, int]) -> str:
    """A sentence about the coordinator's sets that say little of a model; empty when there are none.

    Args:
        sizes: set to its rows. Of `public`, which scores nothing, any number will do.
    """
    few = {name: sizes[name] for name in ("validation", "holdout") if sizes[name] < FEW_ROWS}
    if not few:
        return ""
    told = " and ".join(f"{counted(rows, 'row')} for {name}" for name, rows in few.items())
    return (
        f"The coordinator has {told}, fewer than {FEW_ROWS}, so that chance decides what a score says; "
        "give it more rows, or a larger share in data.coordinator.shares."
    )


def no_public_rows(sizes: Mapping[str, int]) -> str:
    """A sentence for a recipe that fine-tunes when the coordinator has nothing to do it on; else empty."""
    if sizes["public"]:
        return ""
    return (
        "The coordinator has no row for public, so that global fine-tuning is left out; give it a public "
        "table, a larger share in data.coordinator.shares, or say fine_tuning: null."
    )


def positive(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts that are not zero, sorted by name."""
    return {name: count for name, count in sorted(counts.items()) if count}
