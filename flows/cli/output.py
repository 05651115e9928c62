"""What commands print: tables and one sentence for people, one JSON document for programs."""

import json
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedmodels.errors import FedcartError, InputError
from fedmodels.full_disk import is_disk_full

RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", metavar="RECIPE", help="Name of a recipe, or path of its YAML file.")
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")]
OutOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write the JSON document to this file.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document; logs go to standard error.")]

LONGEST_WORD = 64
"""Of a table, in characters, that is never broken: a SHA-256. Free text may have longer ones."""
INTERRUPTED = 130
"""Exit status of a command that was stopped with Ctrl-C or by being terminated."""

console = Console()
notes = Console(stderr=True)


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def write_json_file(path: Path, document: object) -> None:
    """The same document as a file, whole or not at all."""
    from infra.whole_files import write_whole

    write_whole(path, json.dumps(document, indent=2) + "\n")


def print_table(
    title: str,
    columns: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[object]],
    whole: Collection[str] = (),
) -> None:
    """A table on standard output.

    No word is broken or cut short, for it may be an identifier: lines that this makes too long run on. Only
    a word that is longer than any identifier is folded.

    Args:
        title: line above the table.
        columns: name and justification (`left` or `right`) of each column.
        rows: cells; `None` shows as a dash.
        whole: names of columns whose cells stay on one line.
    """
    cells = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    table = Table(
        title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for number, (name, justify) in enumerate(columns):
        texts = [name, *(row[number] for row in cells)]
        words = texts if name in whole else [word for text in texts for word in text.split()]
        table.add_column(
            name,
            justify="right" if justify == "right" else "left",
            overflow="fold",
            min_width=max((size for word in words if (size := cell_len(word)) <= LONGEST_WORD), default=0),
        )
    for row in cells:
        table.add_row(*map(Text, row))
    width = max(console.width, console.measure(table).minimum)
    console.print(table, width=width, crop=False)


def called() -> str:
    """How a person calls this command line: `fedcart`, or its file while that is not on the path."""
    return "fedcart" if shutil.which("fedcart") else sys.argv[0]


def explain(error: FedcartError, *, as_json: bool) -> None:
    """The one sentence that a refusal gets."""
    if as_json:
        print_json({"error": {"code": error.code, "message": str(error)}})
    notes.print(f"[bold red]error[/] {_escaped(str(error))} [dim]({error.code})[/]", soft_wrap=True)


def refusal_of(error: OSError) -> InputError:
    """What the system refused, as one sentence: a full disk by its name, else the path and the reason."""
    if is_disk_full(error):
        return InputError("The disk is full", fix="free some space and try again", code="disk-full")
    reason = (error.strerror or type(error).__name__).lower()
    if error.filename is None:
        return InputError(f"The system refused what the command needs: {reason}", code="system-refused")
    return InputError(
        f"{error.filename} cannot be used: {reason}", fix="correct its path or rights", code="path-unusable"
    )


def explain_interruption(sentence: str, *, as_json: bool) -> None:
    """What whoever pressed Ctrl-C is told."""
    if as_json:
        print_json({"error": {"code": "interrupted", "message": sentence}})
    notes.print(sentence, soft_wrap=True, highlight=False)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def cells(metrics: dict[str, Any] | None) -> tuple[str | None, str | None, str | None]:
    """Accuracy, macro F1 and loss of a JSON document's metrics, as table cells."""
    if metrics is None:
        return None, None, None
    return f"{metrics['accuracy']:.3f}", f"{metrics['macro_f1']:.3f}", f"{metrics['loss']:.3f}"
