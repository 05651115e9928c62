"""Using the kept model: label texts, or score it again."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedmodels.data.cleaning import clean_text
from fedmodels.data.tables import TextTable, read_text_table, read_texts
from fedmodels.errors import InputError
from fedmodels.words import counted
from flows.model_folders import model_folder
from flows.open_store import open_store
from infra.settings import load_role_settings
from infra.whole_files import write_whole
from tasks.reading import read_plan

ADDED = ("label", "probability")
"""Columns that a labelled table has besides those that it came with."""


@dataclass(frozen=True)
class Labelled:
    """A text with the model's label and that label's probability; `None` where cleaning leaves no text."""

    text: str
    label: str | None
    probability: float | None


def label_texts(home: Path, run: str, texts: Sequence[str]) -> list[Labelled]:
    """Label texts, in order; one of which cleaning leaves nothing gets no label."""
    from tasks.using import predict_texts

    found = predict_texts(model_folder(home, run), texts)
    return [
        Labelled(text, item[0], round(item[1], 4)) if item else Labelled(text, None, None)
        for text, item in zip(texts, found, strict=True)
    ]


def unlabelled_in_words(labelled: Sequence[Labelled]) -> str:
    """A sentence about texts that got no label; empty when all got one."""
    without = sum(item.label is None for item in labelled)
    if not without:
        return ""
    has = "has" if without == 1 else "have"
    return f"Of {counted(len(labelled), 'row')} {without} {has} no text after cleaning, and got no label."


def given_texts(texts: Sequence[str], file: Path | None, column: str, *, whole: bool) -> TextTable:
    """What is to be labelled: single texts, then the rows of a CSV or Parquet file.

    Args:
        texts: the single ones, which have no other column.
        file: the file.
        column: name of its text column.
        whole: whether its other columns are kept, for `write_labels`.

    Raises:
        InputError: a single text is empty, also when only markup or invisible characters are taken away
            (`text-empty`); the file is missing, no table, or has no such column; or it has one that
            `write_labels` would write (`column-taken`).
    """
    if empty := [text for text in texts if not clean_text(text)[0]]:
        raise InputError(
            f"The text {empty[0][:60]!r} is empty once it is cleaned", fix="give a text", code="text-empty"
        )
    table = TextTable((column,), (), column)
    if file and whole:
        table = read_text_table(file, column)
        _refuse_taken(table, file)
    elif file:
        table = replace(table, rows=tuple((text,) for text in read_texts(file, column)))
    single = tuple(tuple(text if name == column else "" for name in table.columns) for text in texts)
    return replace(table, rows=single + table.rows)


def _refuse_taken(table: TextTable, file: Path) -> None:
    for name in ADDED:
        if name in table.columns:
            raise InputError(
                f"The file {file} has a column {name!r}, which --out would write",
                fix="rename it in the file",
                code="column-taken",
            )


def write_labels(table: TextTable, labelled: Sequence[Labelled], out: Path) -> None:
    """Write the table as CSV, with label and probability as further columns, empty where there are none."""
    import csv

    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow([*table.columns, *ADDED])
    for row, item in zip(table.rows, labelled, strict=True):
        writer.writerow([*row, item.label, item.probability])
    write_whole(out, content.getvalue())


def score_model(home: Path, run: str) -> dict[str, Any]:
    """Scores of the kept model on the coordinator's validation and holdout sets, as they stand now.

    `same_rows` of each says whether it is what the run was judged on; `None` of a run that did not note it.

    Raises:
        InputError: there is no such run, or it kept no model; or there are no sets.
    """
    from tasks.using import score_folder

    folder = model_folder(home, run)
    with open_store(home) as store:
        plan = read_plan(store, run)
    recipe = plan.recipe
    tables = load_role_settings(home, "coordinator").tables.get(recipe.name)
    if tables is None or tables.validation is None or tables.holdout is None:
        raise InputError(
            f"The coordinator has no sets for the recipe {recipe.name}",
            fix=f"run fedcart data prepare --recipe {recipe.name}",
            code="table-missing",
        )
    sets = {"validation": tables.validation, "holdout": tables.holdout}
    return score_folder(folder, sets, recipe.model.max_length, plan.sets)


def other_rows_in_words(run: str, scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A sentence about sets that changed since the run; empty when there are none, or it is not known."""
    changed = [name for name, score in scores.items() if score["same_rows"] is False]
    if not changed:
        return ""
    return (
        f"The coordinator's rows for {' and '.join(changed)} are not those on which {run} was judged: "
        "these scores are not to be compared with the run's own."
    )
