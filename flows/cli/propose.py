"""`fedcart release propose`: the kept model of a run asks to be released."""

from typing import Annotated

import typer

from flows.cli.output import JsonFlag, RunArgument, print_json, say, working


def propose(
    run: RunArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it was trained, in a sentence.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Have the kept model of a finished run checked, and released if nothing and nobody refuses it."""
    from fedmodels.identifiers import check_identifier
    from flows.proposing import propose_release, unreleased
    from infra.settings import load_settings

    with working("checking the model against the champion"):
        said = propose_release(load_settings().home, check_identifier("run", run), reason)
    refusal = unreleased(said)
    if as_json:
        print_json(said)
        if refusal:
            raise typer.Exit(1)
        return
    if refusal:
        raise refusal
    say(str(said["message"]))
