"""`fedcart release prune`: remove the models of runs of which nothing is to be expected any more."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmodels.words import counted
from flows.cli.output import JsonFlag, print_json, print_table, say, warn

if TYPE_CHECKING:
    from tasks.release.pruning import Pruning
    from tasks.release.unrecorded import Unrecorded
    from tasks.working_files import Leftover

COLUMNS = (
    ("role", "left"),
    ("object", "left"),
    ("MB", "right"),
    ("days", "right"),
    ("run", "left"),
    ("why", "left"),
)
NO_RELEASE = "no release and no open run refers to it"
NO_COMMIT = "no commit of the models repository names it"


def prune(
    keep: Annotated[
        str,
        typer.Option(
            metavar="N|AGE",
            help="Also keep the newest N runs of each recipe without a release, or those closed within AGE.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only shown.")] = False,
    recipe: Annotated[
        str | None, typer.Option(metavar="RECIPE", help="Only runs of this recipe; all of them by default.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Remove global models that no release and no open run refers to; first show what would go.

    What goes are models of closed runs. Spared are those of a run that is
    open, or was closed within the hour; that has a release which is not
    over: a champion, one that ever was one, one that may still be promoted;
    and whatever a lineage record or another message of the coordinator's
    names. A release is over when its checks failed, or it was rejected.

    --keep 5 also spares the five runs of each recipe that were closed last,
    and the five that finished last; --keep 30d those closed within 30 days.

    With a run's models goes their copy on this machine, and with all
    recipes what no commit of the models repository names in DVC's remote.
    Messages stay: fedcart runs verify says pruned, and fedcart reproduce
    can still make the model again.
    """
    from fedmodels.identifiers import check_identifier
    from fedmodels.protocol.pruning import parse_keep
    from flows.open_store import applying_settings, open_named_store
    from flows.recipes import recipe_name
    from infra.settings import load_settings
    from tasks.release import kept_copies, pruning, unrecorded

    kept, settings = parse_keep(keep), load_settings()
    named = None if recipe is None else check_identifier("recipe", recipe_name(recipe))
    look = pruning.prune if yes else pruning.find_prunable
    look_at_dvc = unrecorded.remove_unrecorded if yes else unrecorded.find_unrecorded
    look_at_disk = kept_copies.remove_copies if yes else kept_copies.find_copies
    with open_named_store(settings) as store:
        found = look(store, kept, named)
        copies = look_at_disk(settings.home, found.runs)
        beside = look_at_dvc(store, applying_settings(settings)) if named is None else None
    if beside is not None and beside.left:
        warn(f"What no commit names stays in DVC's remote, since that is not known ({beside.left})")
    if as_json:
        print_json(document(found, copies, beside, keep=kept.text, recipe=named, dry_run=not yes))
    else:
        tell(found, copies, beside, dry_run=not yes)


def document(
    found: "Pruning",
    copies: "list[Leftover]",
    beside: "Unrecorded | None",
    *,
    keep: str,
    recipe: str | None,
    dry_run: bool,
) -> dict[str, Any]:
    """What `--json` prints."""
    rows = list(_rows(found, beside))
    return {
        "dry_run": dry_run,
        "keep": keep,
        "recipe": recipe,
        "bytes": sum(row["bytes"] for row in rows),
        "objects": rows,
        "disk_bytes": sum(copy.size for copy in copies),
        "disk": [{"folder": copy.name, "bytes": copy.size, "age": copy.age} for copy in copies],
        "runs": list(found.runs),
        "stays": [{"why": why, "runs": list(runs)} for why, runs in sorted(found.stays.items())],
        "left": beside.left if beside and beside.left else None,
    }


def tell(found: "Pruning", copies: "list[Leftover]", beside: "Unrecorded | None", *, dry_run: bool) -> None:
    """The same for people: a table of what goes, a line for each reason why something stays, and a sum."""
    rows = list(_rows(found, beside))
    cells = [
        (row["role"], row["object"], _mb(row["bytes"]), _days(row["age"]), _named(row["runs"]), row["why"])
        for row in rows
    ]
    cells += [
        (copy.role, f"disk: {copy.name}", _mb(copy.size), _days(copy.age), copy.name.split("/")[1], copy.why)
        for copy in copies
    ]
    if cells:
        print_table("Would go" if dry_run else "Gone", COLUMNS, cells)
    for why, runs in sorted(found.stays.items()):
        say(f"{counted(len(runs), 'run')} stay{'s' if len(runs) == 1 else ''}: {why}.")
    if not cells:
        say("Nothing else can go." if found.stays else "Nothing can go.")
        return
    size, on_disk = sum(row["bytes"] for row in rows), sum(copy.size for copy in copies)
    what = f"{counted(len(rows), 'object')} of {_mb(size)} MB"
    disk = f"{counted(len(copies), 'folder')} of {_mb(on_disk)} MB on this machine's disk"
    if dry_run:
        say(f"{what} and {disk} would go. Nothing was removed: --yes does it.")
    else:
        say(f"{what} and {disk} went.")


def _rows(found: "Pruning", beside: "Unrecorded | None") -> Iterator[dict[str, Any]]:
    for item in found.objects:
        yield _row(item.key, item.size, item.age, list(item.runs), NO_RELEASE)
    for each in beside.objects if beside else ():
        yield _row(each.key, each.size, each.age, [], NO_COMMIT)


def _row(key: str, size: int, age: float, runs: list[str], why: str) -> dict[str, Any]:
    return {"role": "coordinator", "object": key, "bytes": size, "age": age, "runs": runs, "why": why}


def _named(runs: list[str]) -> str | None:
    """The first of the runs, and how many more there are."""
    if not runs:
        return None
    return runs[0] if len(runs) == 1 else f"{runs[0]} and {counted(len(runs) - 1, 'other')}"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}"


def _days(age: float) -> str:
    return f"{age / 86_400:.1f}"
