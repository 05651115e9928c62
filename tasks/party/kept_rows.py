"""The rows that a model was trained on, kept in the party's own folder by their keyed hash.

A table goes on changing while its model waits to be released. What fresh rows are held against is what that
model has seen, so a party keeps a copy of the rows of its last trainings; a receipt names them.

    rows/HASH-REST/train.parquet, holdout.parquet, columns.parquet    the rows
    rows/HASH-REST/repeated.parquet                                   texts of which a table had several rows
    rows/HASH-REST/sums.json                                          written last: hashes of those files
    rows/HASH-REST/runs/RUN                                           a run that they were prepared for
    rows/HASH-REST/trained                                            when they were last trained on

HASH is of the training rows' texts and labels alone, REST of all else that is kept: the same rows with
another holdout, or with other columns watched, are kept beside those that the champion needs. What is damaged
is no longer what its sums say, and is written anew by the next training.
"""

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from fedmodels.data.fresh import Column, ColumnKind, Window, read_window
from fedmodels.data.prepared import LabelledTexts, PreparedTables, read_prepared
from fedmodels.data.recurring import places_without
from fedmodels.data.tables import write_table
from fedmodels.data.withdrawn import Withdrawn
from fedmodels.errors import DataRefused
from fedmodels.recipe import Recipe
from infra.file_hash import file_sha256
from infra.private_files import make_private, read_json, write_json
from infra.settings import Tables
from tasks.party.kept_columns import COLUMNS, read_columns, write_columns

KEPT_TRAININGS = 8
"""Different sets of rows that were trained on, beside those that a run or the champion refers to."""
_TRAIN, _HOLDOUT, _REPEATED = "train.parquet", "holdout.parquet", "repeated.parquet"
_SUMS = "sums.json"
"""Written last: without it the rows are not whole."""
_RUNS, _TRAINED = "runs", "trained"


@dataclass(frozen=True, repr=False)
class TrainedRows:
    """What fresh rows are held against: rows that a model was trained on, and that scored it.

    Without those whose text recurs, for the reason given in `fedmodels/data/recurring.py`.
    """

    train: Window
    holdout: LabelledTexts
    met: frozenset[str]
    """Every text that the model has met, those that recur too."""
    rows: int
    """Different rows that the model was trained on."""
    name: str
    """Differs where anything of it does, further columns and holdout too."""


def drift_folder(workspace: Path, recipe: str) -> Path:
    """Where everything about drift of a recipe lies in a party's folder."""
    return workspace / "drift" / recipe


def rows_without(rows: TrainedRows, withdrawn: Withdrawn) -> TrainedRows:
    """Kept rows without those that their owners took back since: nothing fresh is held against them.

    They stay among what the model has met, and `rows` says on how many it was trained.
    """
    taken_back = withdrawn.among({*rows.train.rows.texts, *rows.holdout.texts})
    if not taken_back:
        return rows
    places = places_without(rows.train.rows.texts, taken_back)
    columns = {
        name: cast("Column", [values[place] for place in places])
        for name, values in rows.train.columns.items()
    }
    return replace(
        rows,
        train=Window(rows.train.rows.take(places), columns, rows.train.unreadable),
        holdout=rows.holdout.without_texts(taken_back),
        name=f"{rows.name}-{withdrawn.name}",
    )


def private_folder(folder: Path, below: Path) -> Path:
    """Make a folder that only its owner may open, and all above it up to `below`; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    make_private(folder, below)
    return folder


def keep_rows(
    folder: Path, data_hash: str, prepared: PreparedTables, tables: Tables, recipe: Recipe, run: str
) -> None:
    """Keep the rows that are about to be trained on, unless just these are kept, and note for which run.

    Args:
        folder: of `drift_folder`.
        data_hash: of the training rows, under the party's own key.
        prepared: the clean rows.
        tables: where they come from, for the further columns of the recipe.
        recipe: of the run.
        run: its id.

    Raises:
        DataRefused: the train table lacks a column that the recipe watches.
        InputError: the disk is full.
    """
    columns = _columns(prepared.train.without_texts(prepared.repeated), tables, recipe)
    own = folder / "rows" / f"{data_hash}-{_rest(prepared, columns)}"
    private_folder(own / _RUNS, folder.parent.parent)
    (own / _RUNS / run).touch()  # first: what another run of the party lets go is not this
    if _sums_hold(own):
        return
    repeated = tuple(sorted(prepared.repeated))
    write_table(prepared.holdout, own / _HOLDOUT)
    write_table(LabelledTexts(repeated, ("",) * len(repeated)), own / _REPEATED)
    write_columns(own, columns)
    write_table(prepared.train, own / _TRAIN)
    write_json(
        own / _SUMS, {name: file_sha256(own / name) for name in (_HOLDOUT, _REPEATED, COLUMNS, _TRAIN)}
    )


def let_rows_go(folder: Path, data_hash: str, run: str, is_needed: Callable[[str], bool]) -> None:
    """Once rows have been trained on: note that, and remove what nothing needs any more.

    What stays are the rows of the last `KEPT_TRAININGS` trainings, and those of every run that is needed,
    however long ago: its model may be the champion, or become it.

    Args:
        folder: of `drift_folder`.
        data_hash: of the rows that were trained on.
        run: that trained on them.
        is_needed: whether a run is open, or made the champion.
    """
    own = next(_kept_of(folder, data_hash, run), None)
    if own is None:
        return
    (own / _TRAINED).touch()
    kept = list(own.parent.iterdir())
    trained = [each for each in kept if (each / _TRAINED).exists()]
    trained.sort(key=lambda each: (each / _TRAINED).stat().st_mtime_ns, reverse=True)
    for old in set(kept).difference(trained[:KEPT_TRAININGS]):
        if not any(is_needed(noted.name) for noted in (old / _RUNS).glob("*")):
            shutil.rmtree(old, ignore_errors=True)


def read_rows(
    folder: Path, data_hash: str, run: str, watched: Collection[str] = frozenset()
) -> TrainedRows | None:
    """The rows of this keyed hash with all watched columns, or `None` when they are not kept, or damaged.

    Those that were last prepared for the run come first, others with the same rows after them.

    Raises:
        InputError: a file of theirs cannot be read.
    """
    for own in _kept_of(folder, data_hash, run):
        columns = read_columns(own)
        if columns is not None and columns.keys() >= set(watched):
            return _read(own, columns)
    return None


def _read(own: Path, columns: dict[str, Column]) -> TrainedRows:
    train = read_prepared(own / _TRAIN, "kept train")
    holdout = read_prepared(own / _HOLDOUT, "kept holdout")
    repeated = frozenset(read_prepared(own / _REPEATED, "kept repeated").texts)
    return TrainedRows(
        Window(train.without_texts(repeated), columns),
        holdout.without_texts(repeated),
        repeated.union(train.texts, holdout.texts),
        len(train),
        own.name,
    )


def _kept_of(folder: Path, data_hash: str, run: str) -> Iterator[Path]:
    """Folders with whole rows of this keyed hash: the one that was last prepared for the run comes first."""

    def noted(own: Path) -> int:
        note = own / _RUNS / run
        return note.stat().st_mtime_ns if note.exists() else 0

    # An older version of fedcart named them by the hash alone, and kept no sums.
    found = [folder / "rows" / data_hash, *sorted((folder / "rows").glob(f"{data_hash}-*"))]
    return (own for own in sorted(found, key=noted, reverse=True) if _are_whole(own))


def _are_whole(own: Path) -> bool:
    if (own / _SUMS).exists():
        return _sums_hold(own)
    return (own / _TRAIN).exists() and (own / _REPEATED).exists()


def _sums_hold(own: Path) -> bool:
    """Whether every file is the one that was written."""
    sums = read_json(own / _SUMS) or {}
    try:
        return bool(sums) and all(file_sha256(own / name) == sha256 for name, sha256 in sums.items())
    except OSError:
        return False


def _rest(prepared: PreparedTables, columns: dict[str, Column]) -> str:
    """Names what is kept beside the training rows, 16 hexadecimal digits; it never leaves the party."""
    digest = hashlib.sha256()
    parts = (prepared.holdout.texts, prepared.holdout.labels, sorted(prepared.repeated), sorted(columns))
    for values in (*parts, *(columns[name] for name in sorted(columns))):
        digest.update(repr(values).encode())
    return digest.hexdigest()[:16]


def _columns(rows: LabelledTexts, tables: Tables, recipe: Recipe) -> dict[str, Column]:
    """The further columns of the rows that are trained on, from the tables that they stand in."""
    kinds: dict[str, ColumnKind] = dict(recipe.drift.columns)
    if not kinds or tables.train is None:
        return {}
    wanted = frozenset(rows.texts)
    found: dict[str, list[float | str | None]] = {name: [] for name in kinds}
    for name, path in (("train", tables.train), ("fresh", tables.fresh)):
        if path is None or not path.exists():
            continue
        # A column that fresh rows have no more is drift, which must not cost the party the training over it.
        window = read_window(path, recipe.data, kinds, table=name, only=wanted, all_kinds=name == "train")
        wanted -= frozenset(window.rows.texts)
        for column, values in found.items():
            values += window.columns.get(column, [None] * len(window.rows))
    return found  # type: ignore[return-value]  # each is of one kind


def no_rows(party: str) -> DataRefused:
    """The error for rows that nobody has any more."""
    return DataRefused(
        f"The rows that the champion was trained on are not kept at party {party}, "
        f"and its table has changed since",
        fix="train and release anew, which keeps them",
        code="drift-no-reference",
    )


def kept_texts(folder: Path, data_hash: str) -> tuple[frozenset[str], frozenset[str]] | None:
    """Clean texts that were trained on under this keyed hash, and those that were held out beside them.

    `None` when these rows are not kept, or damaged. Of several holdouts all texts count.

    Raises:
        InputError: a file of theirs cannot be read.
    """
    kept = list(_kept_of(folder, data_hash, ""))
    if not kept:
        return None
    held = (read_prepared(own / _HOLDOUT, "kept holdout").texts for own in kept if (own / _HOLDOUT).exists())
    train = read_prepared(kept[0] / _TRAIN, "kept train").texts
    return frozenset(train), frozenset(text for texts in held for text in texts)
