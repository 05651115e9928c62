"""`fedcart runs sweep`: remove from bucket and disk what nothing needs any more."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import JsonFlag, console, print_json, print_table

if TYPE_CHECKING:
    from tasks.sweeping import Sweepable

COLUMNS = (("role", "left"), ("object", "left"), ("MB", "right"), ("days", "right"), ("why", "left"))


def sweep(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Spare what is younger: 36h, 7d, 2w; at least 1h.")
    ] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove unfinished uploads, unreferenced blobs, updates and working files of past runs.

    A role sweeps below its own prefix, with its own credentials. On the
    local stack each role does so in turn; elsewhere the coordinator and
    every party run this with their own settings.

    What any message of a run refers to stays, with one exception: a party's
    updates go when their run was closed longer than AGE ago. That run can
    then no longer be computed again from them, and fedcart runs verify says
    swept. A run that is open keeps everything; fedcart runs cancel closes
    one that was given up.

    Age counts from the last put, by the store's clock.

    On its own machine a role also removes what processes that died left of
    runs that are closed, whatever its age, and cached files that nobody used
    for AGE.
    """
    from fedmodels.protocol.sweeping import parse_bound
    from fedmodels.words import counted
    from flows.open_store import open_role_stores, workspace_of
    from infra.settings import load_settings
    from tasks.sweeping import find_sweepable
    from tasks.sweeping import sweep as sweep_role
    from tasks.working_files import find_leftovers, sweep_leftovers

    bound, settings = parse_bound(older_than), load_settings()
    work, disk_work = (find_sweepable, find_leftovers) if dry_run else (sweep_role, sweep_leftovers)
    with open_role_stores(settings) as stores:
        gone = [item for role, store in stores.items() for item in work(store, role, bound)]
        left = [
            item
            for role, store in stores.items()
            for item in disk_work(store, role, workspace_of(settings, role), bound)
        ]
    size, disk_size = (sum(item.size for item in items) for items in (gone, left))
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "older_than": bound,
                "bytes": size,
                "objects": [_row(item) for item in gone],
                "disk_bytes": disk_size,
                "leftovers": [asdict(item) for item in left],
            }
        )
        return
    if gone or left:
        cells: list[tuple[str, str, int, float, str]] = [(g.role, g.key, g.size, g.age, g.why) for g in gone]
        cells += [(g.role, f"disk: {g.name}", g.size, g.age, g.why) for g in left]
        print_table(
            "Would go" if dry_run else "Gone",
            COLUMNS,
            [
                (role, name, f"{of / 1e6:.1f}", f"{age / 86_400:.1f}", why)
                for role, name, of, age, why in cells
            ],
        )
        verb = "would go" if dry_run else "went"
        console.print(
            f"{counted(len(gone), 'object')} of {size / 1e6:.1f} MB {verb}, and "
            f"{counted(len(left), 'leftover')} of {disk_size / 1e6:.1f} MB on the disk."
        )
    else:
        console.print(f"Nothing that is older than {older_than} can go.")


def _row(item: "Sweepable") -> dict[str, object]:
    return {
        "role": item.role,
        "object": item.key,
        "bytes": item.size,
        "age": item.age,
        "why": item.why,
        "upload_id": item.upload.upload_id if item.upload else None,
    }
