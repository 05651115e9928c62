"""`fedcart up`, `fedcart down` and `fedcart status`: the local stack by itself."""

from typing import Annotated, Any

import typer

from flows.cli.output import JsonFlag, called, console, print_json, print_table, step, warn

COLUMNS = (
    ("role", "left"),
    ("what", "left"),
    ("state", "left"),
    ("pid", "right"),
    ("port", "right"),
    ("log", "left"),
)
FIRST_RECIPE = "reviews"
"""Whose parties a new stack has when no recipe is named."""


def up(
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            metavar="RECIPE",
            help="Name of a recipe, or path of its YAML file: its parties are to run. By default those that "
            "the stack has, and those of reviews at first.",
        ),
    ] = None,
    server_port: Annotated[
        int | None,
        typer.Option("--server-port", metavar="PORT", help="Of the Prefect server; a free one by default."),
    ] = None,
    s3_port: Annotated[
        int | None,
        typer.Option("--s3-port", metavar="PORT", help="Of the object store; a free one by default."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL",
            help="PostgreSQL for the Prefect server, like postgresql://USER:PASSWORD@HOST/NAME; "
            "others can read a command line, so rather set FEDCART_DATABASE. SQLite by default.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Start the local stack: object store, Prefect server, and a worker for the coordinator and each party.

    Does nothing to what already runs; the parties of a recipe that is named are added to it. Everything
    lies below `.fedcart/` and listens on 127.0.0.1 only.
    """
    from flows.recipes import load_recipe
    from infra.local import stack
    from infra.local.plan import read_stack, switch_of_bucket
    from infra.settings import load_settings

    settings = load_settings()
    known = read_stack(settings.home)
    parties = known.parties if known and recipe is None else load_recipe(recipe or FIRST_RECIPE).parties
    if switched := switch_of_bucket(settings.home, settings.chosen_bucket):
        warn(switched)
    stack.up(
        settings.home,
        parties,
        bucket=settings.chosen_bucket,
        server_port=server_port,
        s3_port=s3_port,
        database=database or settings.chosen_database,
        on_step=lambda part: step(f"{part}: up"),
    )
    _show(as_json)


def down(as_json: JsonFlag = False) -> None:
    """Stop every process of the local stack, and of the runs in it. Data and history stay.

    Runs that were under way are named: each goes on with `fedcart up` and `fedcart train --resume RUN`.
    """
    from infra.local import stack
    from infra.local.users import runs_under_way
    from infra.settings import load_settings

    home = load_settings().home
    interrupted = runs_under_way(home)
    stopped = stack.down(home)
    if as_json:
        print_json({"stopped": list(stopped), "interrupted": interrupted})
        return
    console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
    for run in interrupted:
        console.print(
            f"{run} was under way; to go on, {called()} up and then {called()} train --resume {run}",
            soft_wrap=True,
        )


def status(as_json: JsonFlag = False) -> None:
    """What runs where, and what died, with the last lines of its log; exits with 1 unless all of it works."""
    if _show(as_json) != "up":
        raise typer.Exit(1)


def _show(as_json: bool) -> str:
    from flows.forgetting import withdrawn_champions
    from infra.local.status import status as look
    from infra.settings import load_settings

    home = load_settings().home
    found = look(home)
    document = found.document()
    document["withdrawn"] = withdrawn_champions(home) if document["s3_endpoint"] else []
    if as_json:
        print_json(document)
        return found.state
    if found.state == "down":
        console.print("The stack is down; start it with fedcart up.")
        return found.state
    print_table(f"Stack of {document['home']}", COLUMNS, map(_cells, document["processes"]))
    ui, store = (document[name] or "down" for name in ("ui_url", "s3_endpoint"))
    console.print(f"Prefect UI {ui}   object store {store}", soft_wrap=True)
    for told in document["withdrawn"]:
        warn(told)
    for process in document["processes"]:
        if process["last_lines"]:
            console.print(
                f"\n{process['name']} {process['state']}; the end of {process['log']}:", soft_wrap=True
            )
            console.print("\n".join(process["last_lines"]), highlight=False, soft_wrap=True)
    return found.state


def _cells(process: dict[str, Any]) -> tuple[object, ...]:
    log = (process["log"] or "").rpartition("/")[2] or None
    return process["role"], process["what"], process["state"], process["pid"], process["port"], log
