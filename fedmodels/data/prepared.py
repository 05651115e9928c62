"""Tables made ready for training: read, cleaned, split, and without a text on two sides of a split.

`prepare_party_tables` runs in the party's own process, `prepare_coordinator_tables` in the
coordinator's.
"""

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fedmodels.data.cleaning import clean_each, clean_text, distinct_rows
from fedmodels.data.counts import positive
from fedmodels.data.fresh import labelled_fresh_rows
from fedmodels.data.recurring import repeated_texts
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.splits import is_held_out, split_by_text
from fedmodels.data.tables import RawTable, read_table
from fedmodels.data.withdrawn import COUNT, NOTHING, Withdrawn
from fedmodels.errors import DataRefused, FedcartError, InputError
from fedmodels.recipe import DataConfig
from fedmodels.spelling import clean_label

__all__ = [
    "CoordinatorTables",
    "LabelledTexts",
    "PreparedTables",
    "class_names",
    "disjoint_tables",
    "keyed_data_hash",
    "prepare_coordinator_tables",
    "prepare_party_tables",
    "read_prepared",
]


@dataclass(frozen=True)
class PreparedTables:
    """A party's clean rows, and counts of what cleaning changed."""

    train: LabelledTexts
    holdout: LabelledTexts
    counts: dict[str, int] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    """Clean texts that stand in more than one row of a table as it came; some of them in no row here, since
    their labels contradict each other. A row that the train and the fresh table both hold is one row."""


@dataclass(frozen=True)
class CoordinatorTables:
    """The coordinator's clean rows: three sets without a common text, and counts of what was changed."""

    public: LabelledTexts
    validation: LabelledTexts
    holdout: LabelledTexts
    counts: dict[str, int] = field(default_factory=dict)

    def sets(self) -> dict[str, LabelledTexts]:
        """The three sets by name."""
        return {"public": self.public, "validation": self.validation, "holdout": self.holdout}


def prepare_party_tables(
    train: Path | None,
    holdout: Path | None,
    data: DataConfig,
    labels: tuple[str, ...],
    *,
    seed: int,
    fresh: Path | None = None,
    withdrawn: Withdrawn = NOTHING,
) -> PreparedTables:
    """Read and clean a party's tables. Without `holdout`, a share of the rows is split off by their texts.

    A text that stands in both tables stays in the holdout alone. Rows with an unknown label, or with
    none, stay and are counted: they make the contract fail rather than vanish. Fresh rows join those to
    train on and, by the same share, those held out; of them a row without a label is left out and counted.
    Withdrawn rows are left out before anything else is decided, as if no table held them.

    Args:
        train: the party's table, Parquet or CSV.
        holdout: its second table, which scores candidates and trains nothing.
        data: the recipe's `data` section.
        labels: the classes of the plan.
        seed: the recipe's seed.
        fresh: rows that came in since; there need be no such file.
        withdrawn: rows that their owners took back.

    Raises:
        DataRefused: a table is missing, damaged, of a wrong form or without rows.
    """
    if train is None:
        raise DataRefused(
            "This party's settings name no train table", fix="set tables.RECIPE.train", code="table-missing"
        )
    counts: Counter[str] = Counter()
    repeated: set[str] = set()
    read = partial(_read_clean, repeated=repeated, withdrawn=withdrawn)
    joining = _read_fresh(fresh, data, seed, counts)
    if holdout is None:
        rows = read(train, data, "train", DataRefused, counts, *joining)
        held, rows = split_by_text(rows, [data.holdout_share], seed, "holdout")
    else:
        rows = read(train, data, "train", DataRefused, counts, joining[0])
        held = read(holdout, data, "holdout", DataRefused, counts, joining[1])
        repeated |= frozenset(rows.texts) & frozenset(held.texts)
        before = len(rows)
        rows = rows.without_texts(frozenset(held.texts))
        counts["train_texts_in_holdout"] = before - len(rows)
    known = frozenset(labels)
    counts["unknown_labels"] = sum(bool(label) and label not in known for label in rows.labels + held.labels)
    return PreparedTables(rows, held, positive(counts), frozenset(repeated))


def prepare_coordinator_tables(data: DataConfig, *, seed: int) -> CoordinatorTables:
    """Read, clean and split the coordinator's own tables: one table by shares, or the files that are named.

    Raises:
        InputError: a table is missing or of a wrong form, holds fewer than two labels or one that
            `data.labels` does not name, or leaves `validation` or `holdout` without rows.
    """
    own = data.coordinator
    counts: Counter[str] = Counter()
    if own.table:
        rows = _read_clean(Path(own.table), data, "coordinator's", InputError, counts)
        public, validation, holdout, _ = split_by_text(rows, own.shares, seed, "coordinator")
    else:
        named = {"public": own.public, "validation": own.validation, "holdout": own.holdout}
        read = {
            name: _read_clean(Path(path), data, f"coordinator's {name}", InputError, counts)
            for name, path in named.items()
            if path
        }
        public, validation, holdout = (read.get(name, LabelledTexts()) for name in named)
    return disjoint_tables(public, validation, holdout, data, counts)


def disjoint_tables(
    public: LabelledTexts,
    validation: LabelledTexts,
    holdout: LabelledTexts,
    data: DataConfig,
    counts: Counter[str],
) -> CoordinatorTables:
    """The three sets without a common text: it stays in holdout before validation before public.

    Raises:
        InputError: as `prepare_coordinator_tables`.
    """
    before = len(public) + len(validation)
    validation = validation.without_texts(frozenset(holdout.texts))
    public = public.without_texts(frozenset(holdout.texts + validation.texts))
    counts["texts_in_two_sets"] = before - len(public) - len(validation)
    tables = CoordinatorTables(public, validation, holdout, positive(counts))
    _check_coordinator(tables, data)
    return tables


def class_names(data: DataConfig, tables: CoordinatorTables) -> tuple[str, ...]:
    """The classes and their order: `data.labels`, or the labels of the coordinator's rows, sorted.

    Whole numbers sort by value, so that 10 follows 9.
    """
    if data.labels is not None:
        return tuple(clean_label(label) for label in data.labels)
    found = {label for rows in tables.sets().values() for label in rows.labels if label}
    if all(label.removeprefix("-").isdecimal() for label in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


def read_prepared(path: Path, table: str) -> LabelledTexts:
    """Read a table that `write_table` wrote, with its own column names.

    Raises:
        InputError: the file is missing or damaged.
    """
    raw = read_table(path, "text", "label", table=table, may_be_empty=True)
    return LabelledTexts(tuple(text or "" for text in raw.texts), tuple(str(label) for label in raw.labels))


def keyed_data_hash(rows: LabelledTexts, key: bytes) -> str:
    """HMAC-SHA256 over the sorted hashes of the rows: says that rows changed, and nothing else.

    The order of rows does not matter, their number does. Without the key, nobody can test whether a
    guessed row is among them.

    Args:
        rows: the training rows.
        key: secret of the party, at least 16 bytes.

    Returns:
        64 hexadecimal digits.
    """
    if len(key) < 16:
        raise ValueError(f"the key has {len(key)} bytes, at least 16 are needed")
    hashes = sorted(
        hashlib.sha256(f"{len(text)}:{text}{label}".encode()).digest()
        for text, label in zip(rows.texts, rows.labels, strict=True)
    )
    return hmac.new(key, b"".join(hashes), hashlib.sha256).hexdigest()


def _read_clean(
    path: Path,
    data: DataConfig,
    table: str,
    error: type[FedcartError],
    counts: Counter[str],
    *joining: RawTable,
    repeated: set[str] | None = None,
    withdrawn: Withdrawn = NOTHING,
) -> LabelledTexts:
    """The clean rows of a table and of what joins it; texts that one of them repeats go into `repeated`."""
    parts = (read_table(path, data.text, data.label, table=table, error=error), *joining)
    cleaned = [_standing(clean_each(part.texts, part.labels, counts), withdrawn, counts) for part in parts]
    if repeated is not None:
        repeated.update(*(repeated_texts(text for text, _ in rows) for rows in cleaned))
    return distinct_rows((row for rows in cleaned for row in rows), counts)


def _standing(
    rows: list[tuple[str, str]], withdrawn: Withdrawn, counts: Counter[str]
) -> list[tuple[str, str]]:
    """The clean rows that nobody took back."""
    if not withdrawn:
        return rows
    kept = [row for row in rows if not withdrawn.has(row[0])]
    counts[COUNT] += (len(rows) - len(kept)) * withdrawn.told
    return kept


def _read_fresh(
    path: Path | None, data: DataConfig, seed: int, counts: Counter[str]
) -> tuple[RawTable, RawTable]:
    """The labelled fresh rows: those to train on, and those held out, by their texts."""
    sides: tuple[list[tuple[str | None, object]], ...] = ([], [])
    for batch in labelled_fresh_rows(path, data, counts):
        for text, label in zip(batch.texts, batch.labels, strict=True):
            sides[is_held_out(clean_text(text or "")[0], data, seed)].append((text, label))
    kept, held = (RawTable(tuple(t for t, _ in side), tuple(label for _, label in side)) for side in sides)
    return kept, held


def _check_coordinator(tables: CoordinatorTables, data: DataConfig) -> None:
    for name in ("validation", "holdout"):
        if not len(tables.sets()[name]):
            raise InputError(
                f"The coordinator's {name} set has no rows",
                fix="give more rows or a larger share",
                code="set-empty",
            )
    found = {label for rows in tables.sets().values() for label in rows.labels}
    if "" in found:
        missing = sum(label == "" for rows in tables.sets().values() for label in rows.labels)
        raise InputError(
            f"The coordinator's tables have {missing} rows without a label",
            fix="label or remove them",
            code="label-missing",
        )
    if len(found) < 2:
        raise InputError(
            f"The coordinator's tables have {len(found)} label, at least 2 are needed",
            fix="give rows of every class",
            code="labels-single",
        )
    unknown = sorted(found - set(class_names(data, tables)))
    if unknown:
        raise InputError(
            f"The coordinator's tables have the label {unknown[0]!r}, which data.labels does not name",
            fix="add them to data.labels or remove their rows",
            code="labels-unknown",
        )
