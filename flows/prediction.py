"""Using the kept model: label texts, or score it again."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedmodels.data.tables import TextTable, read_text_table, read_texts
from fedmodels.errors import InputError
from flows.model_folders import model_folder
from flows.open_store import open_store
from infra.settings import load_role_settings
from infra.whole_files import write_whole
from tasks.reading import read_plan

ADDED = ("label", "probability")
"""Columns that a labelled table has besides those that it came with."""


@dataclass(frozen=True)
class Labelled:
    """A text with the model's label and that label's probability."""

    text: str
    label: str
    probability: float


def label_texts(home: Path, run: str, texts: Sequence[str]) -> list[Labelled]:
    """Label texts, in order."""
    from tasks.using import predict_texts

    found = predict_texts(model_folder(home, run), texts)
    return [
        Labelled(text, label, round(probability, 4))
        for text, (label, probability) in zip(texts, found, strict=True)
    ]


def given_texts(texts: Sequence[str], file: Path | None, column: str, *, whole: bool) -> TextTable:
    """What is to be labelled: single texts, then the rows of a CSV or Parquet file.

    Args:
        texts: the single ones, which have no other column.
        file: the file.
        column: name of its text column.
        whole: whether its other columns are kept, for `write_labels`.

    Raises:
        InputError: the file is missing, no table, or has no such column; or it has one that `write_labels`
            would write (`column-taken`).
    """
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
    """Write the table as CSV, with label and probability as further columns."""
    import csv

    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow([*table.columns, *ADDED])
    for row, item in zip(table.rows, labelled, strict=True):
        writer.writerow([*row, item.label, item.probability])
    write_whole(out, content.getvalue())


def score_model(home: Path, run: str) -> dict[str, Any]:
    """Scores of the kept model on the coordinator's validation and holdout sets."""
    from tasks.using import score_folder

    folder = model_folder(home, run)
    with open_store(home) as store:
        recipe = read_plan(store, run).recipe
    tables = load_role_settings(home, "coordinator").tables.get(recipe.name)
    if tables is None or tables.validation is None or tables.holdout is None:
        raise InputError(
            f"The coordinator has no sets for the recipe {recipe.name}",
            fix=f"run fedcart data prepare --recipe {recipe.name}",
            code="table-missing",
        )
    return score_folder(
        folder, {"validation": tables.validation, "holdout": tables.holdout}, recipe.model.max_length
    )
