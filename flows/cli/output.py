"""What commands print: tables and one sentence for people, one JSON document for programs."""

import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from fedmodels.errors import FedcartError, InputError
from fedmodels.full_disk import is_disk_full
from fedmodels.words import short_number

RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", metavar="RECIPE", help="Name of a recipe, or path of its YAML file.")
]
RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of the recipe.")]
ReleaseArgument = Annotated[int, typer.Argument(metavar="RELEASE", min=1, help="Number of the release.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")]
OutOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write the JSON document to this file.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document; logs go to standard error.")]

LONGEST_WORD = 128
"""Of a table, in characters, that is never broken: a key of the bucket. Free text may have longer ones."""
_ENDLESS = 1_000_000
"""Width at which no table is squeezed."""
INTERRUPTED = 130
"""Exit status of a command that was stopped with Ctrl-C or by being terminated."""


def plain_console(**options: Any) -> Console:
    """A console to which brackets and `:smile:` are text like any other: it prints what others wrote.

    What is to be in colours is a `Text` with a style.
    """
    return Console(markup=False, emoji=False, **options)


console = plain_console()
notes = plain_console(stderr=True)


def working(words: str) -> Status:
    """A spinner on a terminal while its body runs. Rich takes a string here for markup on any console."""
    return notes.status(Text(words))


def say(sentence: str) -> None:
    """One line, whatever stands in it: a comment may hold brackets."""
    console.print(sentence, soft_wrap=True, highlight=False)


def step(words: str) -> None:
    """One thing that is done, on standard error."""
    notes.print(Text.assemble(("· ", "dim"), words))


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def warn(sentence: str) -> None:
    """A warning on standard error, where it is in no program's way."""
    notes.print(Text("warning", style="yellow"), sentence, soft_wrap=True, highlight=False)


def write_json_file(path: Path, document: object) -> None:
    """The same document as a file, whole or not at all."""
    from infra.whole_files import write_whole

    write_whole(path, json.dumps(document, indent=2) + "\n")


def number_cell(value: float | None) -> str | None:
    """A cell of `print_table` for a number; `None` shows as a dash."""
    return None if value is None else short_number(value)


def print_table(
    title: str,
    columns: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[object]],
    whole: Collection[str] = (),
) -> None:
    """A table on standard output, no wider than a terminal or `COLUMNS`; elsewhere a row is a line.

    No word is broken or cut short, for it may be an identifier; only one that is longer than any identifier
    is folded. Where not even its words have room beside each other, a row is a block with a line a cell.

    Args:
        title: line above the table.
        columns: name and justification (`left` or `right`) of each column.
        rows: cells; `None` shows as a dash.
        whole: names of columns whose cells stay on one line.
    """
    cells = [[Text("–" if cell is None else str(cell)) for cell in row] for row in rows]
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, justify in columns:
        table.add_column(Text(name), justify="right" if justify == "right" else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    ranges = [
        _range([name, *(row[number].plain for row in cells)], whole=name in whole)
        for number, (name, _) in enumerate(columns)
    ]
    natural = table.__rich_measure__(console, console.options.update(width=_ENDLESS)).maximum
    widths = fitted(ranges, natural - console.width if has_width() else 0)
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    table.width = natural - sum(longest for _, longest in ranges) + sum(widths)
    console.print(title, style="table.title", highlight=False, soft_wrap=True)
    if has_width() and table.width > console.width:
        _print_blocks([name for name, _ in columns], cells)
    else:
        console.print(table, crop=False)


def has_width() -> bool:
    """Whether lines have to end somewhere: on a terminal, or where `COLUMNS` is set."""
    return console.is_terminal or "COLUMNS" in os.environ


def _print_blocks(names: Sequence[str], rows: Iterable[Sequence[Text]]) -> None:
    """One block a row, with a cell a line or, where it is longer than the line, folded between its words."""
    label = max(map(cell_len, names))
    for row in rows:
        console.print()
        for name, cell in zip(names, row, strict=True):
            least, _ = _range([cell.plain], whole=False)
            room = max(console.width - label - 2, least)
            line = Table.grid(padding=(0, 2, 0, 0))
            line.add_column(style="bold", width=label)
            line.add_column(overflow="fold", width=room)
            line.add_row(Text(name), cell)
            line.width = label + 2 + room
            console.print(line, crop=False)
    console.print()


def print_key(words: str) -> None:
    """What a table's columns mean, below it."""
    console.print(Text(words, style="dim"), soft_wrap=True)


def print_sentence(sentence: str) -> None:
    """A line on standard output, folded between words where lines have to end somewhere."""
    console.print(sentence, highlight=False, soft_wrap=not has_width())


def _range(texts: Sequence[str], *, whole: bool) -> tuple[int, int]:
    """The least width of a column, at which no word of its texts is broken, and its longest text."""
    longest = max(cell_len(line) for text in texts for line in (text.splitlines() or [""]))
    words = [cell_len(word) for text in texts for word in text.split()]
    return longest if whole else max((size for size in words if size <= LONGEST_WORD), default=1), longest


def fitted(ranges: Sequence[tuple[int, int]], spare: int) -> list[int]:
    """Widths of columns that are `spare` cells too wide together; none is narrower than its least.

    Args:
        ranges: least and greatest width of each column.
        spare: how many cells should go; each is taken from the widest column that has one left.
    """
    widths = [longest for _, longest in ranges]
    for _ in range(spare):
        places = [place for place, (least, _) in enumerate(ranges) if widths[place] > least]
        if not places:
            break
        widths[max(places, key=lambda place: widths[place])] -= 1
    return widths


def called() -> str:
    """How a person calls this command line: `fedcart`, or its file while that is not on the path."""
    return "fedcart" if shutil.which("fedcart") else sys.argv[0]


def explain(error: FedcartError, *, as_json: bool) -> None:
    """The one sentence that a refusal gets."""
    if as_json:
        print_json({"error": {"code": error.code, "message": str(error)}})
    said = Text.assemble(("error", "bold red"), f" {error} ", (f"({error.code})", "dim"))
    notes.print(said, soft_wrap=True)


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


def cells(metrics: dict[str, Any] | None) -> tuple[str | None, str | None, str | None]:
    """Accuracy, macro F1 and loss of a JSON document's metrics, as table cells."""
    if metrics is None:
        return None, None, None
    return f"{metrics['accuracy']:.3f}", f"{metrics['macro_f1']:.3f}", f"{metrics['loss']:.3f}"
