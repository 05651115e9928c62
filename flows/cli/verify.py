"""`fedcart runs verify`: is what the bucket holds of a run still what was written?"""

from typing import Annotated

import typer

from flows.cli.output import JsonFlag, RunArgument, console, print_json, print_table

COLUMNS = (("object", "left"), ("verdict", "left"), ("detail", "left"))


def verify(
    run: RunArgument,
    every: Annotated[bool, typer.Option("--all", help="List the objects that hold as well.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Compute everything again that can be; exit with 1 when an object differs.

    Checked are the chain of records from HEAD down; every announcement,
    decision, candidate and record, and whether they agree; the signatures
    of receipts and evaluations; the bytes of all models and updates; and
    the average of each round: base and accepted updates, added again bit
    for bit.

    An object is ok, changed (other bytes than were written), deleted,
    swapped or reordered (it belongs elsewhere), unexpected, or it disagrees
    (written so, and not what follows from the rest). Not broken are those
    that are swept (by fedcart runs sweep), pruned (by fedcart release
    prune), not recomputable: fine-tuned (training on the coordinator's rows
    is not repeated), or not checked (they rest on an object that is broken
    itself).

    Needs credentials that read the whole bucket, which are the
    coordinator's, and room on disk for one model. Works on open runs too.
    """
    from flows.cli.progress import byte_progress
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.verifying.run import verify_run

    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    with open_named_store(settings) as store, byte_progress(f"verifying {run}") as watch:
        report = verify_run(store, run, settings.home, watch)
    if as_json:
        print_json(report.document())
    else:
        listed = [item for item in report.findings if every or item.verdict != "ok"]
        if listed:
            print_table(f"{run}: objects", COLUMNS, [(f.object, f.verdict, f.detail) for f in listed])
        broken = sum(not item.holds for item in report.findings)
        said = f"{broken} of them broken" if broken else "everything that can be checked holds"
        console.print(f"{run}: {len(report.findings)} objects and averages checked, {said}.")
    if not report.passed:
        raise typer.Exit(1)
