"""`fedcart runs cancel`: end a run that is still open."""

from typing import Annotated

import typer

from flows.cli.output import JsonFlag, RunArgument, console, print_json


def cancel(
    run: RunArgument,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="A sentence that the run's summary shows.")
    ] = "cancelled with fedcart runs cancel",
    as_json: JsonFlag = False,
) -> None:
    """Close an open run as cancelled: coordinator and parties stop within seconds.

    HEAD stays where it was, and the best model so far is the kept one. A run
    that is over is refused; one that is cancelled cannot be resumed.
    """
    from fedmodels.identifiers import check_identifier
    from fedmodels.words import counted
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.cancelling import cancel_run

    with open_named_store(load_settings()) as store:
        closed = cancel_run(store, check_identifier("run", run), reason)
    if as_json:
        print_json(closed.model_dump(mode="json"))
    else:
        console.print(
            f"{run} is cancelled after {counted(closed.rounds, 'round')}. "
            f"Kept model {closed.model_sha256[:12]}."
        )
