"""Using the kept model: label texts, or score it again."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmodels.errors import InputError
from flows.model_folders import model_folder
from flows.open_store import open_store
from infra.settings import load_role_settings
from infra.whole_files import write_whole
from tasks.reading import read_plan


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


def read_texts(file: Path, column: str) -> list[str]:
    """The text column of a CSV or Parquet file.

    Raises:
        InputError: the file is missing, no table, or has no such column.
    """
    from fedmodels.data.tables import read_texts as read_column

    return read_column(file, column)


def write_labels(labelled: Sequence[Labelled], out: Path) -> None:
    """Write text, label and probability as CSV."""
    import csv

    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["text", "label", "probability"])
    writer.writerows((item.text, item.label, item.probability) for item in labelled)
    write_whole(out, table.getvalue())


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
