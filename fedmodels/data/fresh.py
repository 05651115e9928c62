"""A party's fresh rows: those that came in since its table was written. Labels may come later, or never.

They are watched for drift, and the labelled ones are learned from by the next run, beside the old ones.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fedmodels.data.cleaning import as_table, clean_each, clean_text
from fedmodels.data.columns import Reading, column_batches, column_names
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import RawTable, read_row_batches, reading_of
from fedmodels.data.withdrawn import NOTHING, Withdrawn
from fedmodels.errors import DataRefused
from fedmodels.recipe import DataConfig
from fedmodels.spelling import clean_label

ColumnKind = Literal["number", "category"]
Column = list[float | None] | list[str | None]


@dataclass(frozen=True, repr=False)
class Window:
    """Clean rows of one table, as often as they stand there, and values of further columns of them."""

    rows: LabelledTexts
    columns: dict[str, Column] = field(default_factory=dict)
    """By name; `None` where a row lacks a value, or has one that is of another kind."""
    unreadable: dict[str, int] = field(default_factory=dict)
    """Rows by column, of those that have them: their value is no number."""

    def __repr__(self) -> str:
        return f"Window({len(self.rows)} rows, {len(self.columns)} columns)"


def labelled_fresh_rows(path: Path | None, data: DataConfig, counts: Counter[str]) -> Iterator[RawTable]:
    """The fresh rows that have a label, a part at a time; none while there is no such file.

    Args:
        path: the party's fresh table, Parquet or CSV, with or without a column of labels.
        data: the recipe's `data` section.
        counts: gets the rows that are left out, as `fresh_without_label`.

    Raises:
        DataRefused: the table is damaged, or has no column of texts.
    """
    if path is None or not path.exists():
        return
    for batch in _batches(path, data, "fresh"):
        kept = [place for place, label in enumerate(batch.labels) if clean_label(label)]
        counts["fresh_without_label"] += len(batch.labels) - len(kept)
        if kept:
            yield RawTable(
                tuple(batch.texts[place] for place in kept), tuple(batch.labels[place] for place in kept)
            )


def read_window(
    path: Path,
    data: DataConfig,
    kinds: dict[str, ColumnKind],
    *,
    table: str,
    without: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
    all_kinds: bool = True,
    withdrawn: Withdrawn = NOTHING,
) -> Window:
    """The clean rows of a table, with or without labels, and further columns of it; repeated rows repeat.

    Args:
        path: Parquet or CSV.
        data: the recipe's `data` section.
        kinds: kind by name of each further column.
        table: what the file is to its owner, for messages: `fresh`, `train`.
        without: clean texts whose rows are left out.
        only: clean texts whose rows are kept; all of them when not given.
        all_kinds: whether a further column that the table lacks is refused; else the window lacks it.
        withdrawn: rows that their owners took back, which are left out as well.

    Raises:
        DataRefused: the table is missing or damaged, or lacks a column.
    """
    texts: list[str | None] = []
    labels: list[object] = []
    for batch in _batches(path, data, table):
        texts += batch.texts
        labels += batch.labels
    rows = withdrawn.without(as_table(clean_each(texts, labels, Counter())).without_texts(without))
    if only is not None:
        rows = rows.take(place for place, text in enumerate(rows.texts) if text in only)
    if not all_kinds:
        there = column_names(Reading(path, (data.text,), f"The {table} table", DataRefused))
        kinds = {name: kind for name, kind in kinds.items() if name in there}
    if not kinds:
        return Window(rows)
    kept = frozenset(rows.texts)
    places = [place for place, text in enumerate(texts) if text is not None and clean_text(text)[0] in kept]
    reading = Reading(path, tuple(kinds), f"The {table} table", DataRefused)
    raw: dict[str, list[object]] = {name: [] for name in kinds}
    for parts in column_batches(reading):
        for name, values in zip(kinds, parts, strict=True):
            raw[name] += values
    columns: dict[str, Column] = {}
    unreadable: dict[str, int] = {}
    for name, kind in kinds.items():
        values = [raw[name][place] for place in places]
        if kind == "category":
            columns[name] = [clean_label(value) or None for value in values]
            continue
        columns[name], strange = _numbers(values)
        if strange:
            unreadable[name] = strange
    return Window(rows, columns, unreadable)


def _batches(path: Path, data: DataConfig, table: str) -> Iterator[RawTable]:
    """Texts and labels; every label is `None` when the table has no column of them."""
    reading = Reading(path, (data.text,), f"The {table} table", DataRefused)
    if data.label in column_names(reading):
        yield from read_row_batches(reading_of(path, data.text, data.label, table=table, error=DataRefused))
        return
    for (texts,) in column_batches(reading):
        yield RawTable(tuple(None if text is None else str(text) for text in texts), (None,) * len(texts))


def _numbers(values: list[object]) -> tuple[list[float | None], int]:
    """Numbers as they are written, `None` where there is none, and how many values are no number."""
    numbers: list[float | None] = []
    strange = 0
    for value in values:
        try:
            number = math.nan if value is None or value == "" else float(str(value))
        except ValueError:
            number, strange = math.nan, strange + 1
        numbers.append(None if math.isnan(number) else number)
    return numbers, strange
