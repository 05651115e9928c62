"""`fedcart runs report`: a run on one page, and its rounds as tables that other programs draw."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import JsonFlag, RunArgument, print_json, say


def report(
    run: RunArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write page and tables to this folder; by default the page is printed."
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Put onto the page what fedcart evaluate --out FILE wrote."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """A run on one page of Markdown: rounds, what the gate said of each, and the parties.

    With --out also as tables: rounds.json has the model's scores on the coordinator's
    validation set, one row a round, and parties/PARTY.json those on a party's own holdout.
    """
    from fedmodels.identifiers import check_identifier
    from fedmodels.protocol.pages import party_rows, round_rows, run_page
    from flows.open_store import open_named_store
    from flows.run_report import check_report_target, read_scores, write_run_report
    from infra.settings import load_settings
    from tasks.reading import read_run

    check_identifier("run", run)
    if out:
        check_report_target(out)
    scored = read_scores(scores) if scores else None
    with open_named_store(load_settings()) as store:
        played = read_run(store, run)
    if out:
        write_run_report(out, played, scored)
    if as_json:
        rows = {"rounds": round_rows(played.records), "parties": party_rows(played.records)}
        print_json({"run_id": run, **rows})
    elif out:
        say(f"The report of {run} is {out}.")
    else:
        sys.stdout.write(run_page(played.plan, played.records, played.closed, scored))
