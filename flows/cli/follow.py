"""`fedcart runs follow`: watch a run again that somebody stopped watching."""

from pathlib import Path
from typing import Any

from fedmodels.errors import InputError
from flows.cli.output import JsonFlag, RunArgument, notes, print_json


def follow(run: RunArgument, as_json: JsonFlag = False) -> None:
    """Watch a run until it is closed, then print what came of it; a run that is over is printed at once."""
    from fedmodels.identifiers import check_identifier
    from flows.cli.progress import goes_on_without, run_progress
    from flows.cli.train import show_summary
    from flows.following import rejoin
    from flows.open_store import open_store
    from flows.reports import with_measured, write_report
    from infra.local.users import using
    from infra.settings import load_settings

    home = load_settings().home
    check_identifier("run", run)
    with (
        using(home, f"fedcart runs follow of {run}"),
        open_store(home),
        goes_on_without(run),
        run_progress(run) as watch,
    ):
        summary = rejoin(home, run, watch)
    kept = kept_report(home, run)
    summary = with_measured(summary, kept)
    if not kept:
        write_report(home, summary)
    if as_json:
        print_json(summary)
    else:
        show_summary(summary)


def kept_report(home: Path, run: str) -> dict[str, Any]:
    """What a command measured of the run; of a damaged report, a note and nothing."""
    from flows.reports import read_report

    try:
        return read_report(home, run)
    except InputError as damaged:
        notes.print(str(damaged), soft_wrap=True, highlight=False)
        return {}
