"""`fedcart predict` and `fedcart evaluate`: use the kept model of a run."""

from pathlib import Path
from typing import Annotated

import typer

from fedmodels.errors import InputError
from flows.cli.output import (
    JsonFlag,
    OutOption,
    RunArgument,
    console,
    print_json,
    print_table,
    warn,
    working,
    write_json_file,
)


def predict(
    run: RunArgument,
    text: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A text to label; may be given again.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV or Parquet file whose text column is labelled.")
    ] = None,
    column: Annotated[str, typer.Option(metavar="NAME", help="Name of the file's text column.")] = "text",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the file's columns, and label and probability, to this CSV file."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Label texts with the model that a run kept. They are cleaned and cut as those that trained it."""
    from fedmodels.words import counted
    from flows.prediction import given_texts, label_texts, unlabelled_in_words, write_labels
    from infra.settings import load_settings
    from infra.whole_files import check_file_target

    if out:
        check_file_target(out)
    if not (text or file):
        raise InputError(
            "Neither --text nor --file is given",
            fix="give one of them; see fedcart predict --help",
            code="usage",
        )
    table = given_texts(text or [], file, column, whole=out is not None)
    with working(f"labelling {counted(len(table.rows), 'text')}"):
        labelled = label_texts(load_settings().home, run, table.texts)
    if said := unlabelled_in_words(labelled):
        warn(said)
    if out:
        write_labels(table, labelled, out)
    if as_json:
        print_json(
            [{"text": item.text, "label": item.label, "probability": item.probability} for item in labelled]
        )
    elif out:
        console.print(f"{counted(len(labelled), 'text')} labelled in {out}", soft_wrap=True)
    else:
        rows = [
            (item.label or "", "" if item.probability is None else f"{item.probability:.3f}", item.text)
            for item in labelled
        ]
        print_table(f"Labels by {run}", [("label", "left"), ("probability", "right"), ("text", "left")], rows)


def evaluate(
    run: RunArgument,
    out: OutOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Score the model that a run kept on the coordinator's validation and holdout sets."""
    from flows.prediction import other_rows_in_words, score_model
    from infra.settings import load_settings
    from infra.whole_files import check_file_target

    if out:
        check_file_target(out)
    with working("scoring the model on validation and holdout"):
        scores = score_model(load_settings().home, run)
    if said := other_rows_in_words(run, scores):
        warn(said)
    if out:
        write_json_file(out, scores)
    if as_json:
        print_json(scores)
        return
    columns = [
        ("set", "left"),
        ("rows", "right"),
        ("accuracy", "right"),
        ("macro F1", "right"),
        ("loss", "right"),
    ]
    rows = []
    for name, score in scores.items():
        shown = (f"{score[key]:.3f}" for key in ("accuracy", "macro_f1", "loss"))
        rows.append((name, score["num_examples"], *shown))
    print_table(f"Scores of {run}", columns, rows)
