"""`fedcart drift demo`: drift at a shop, found by schedule, answered with a training, judged by the gate."""

from typing import Annotated, Any

import typer
from rich.text import Text

from fedmodels.errors import InputError
from flows.cli.output import JsonFlag, console, notes, number_cell, print_json, print_table

NOT_SHOWN = 1
"""Exit status when something else came of it than what was to be shown."""
DECIDING = ("passed", "failed")
"""Verdicts of the checks that people are shown; the document has all of them."""
SPANS = {
    "arrival_to_check": "from the rows' arrival to the scheduled check",
    "check": "that check",
    "arrival_to_event": "from the rows' arrival to the event",
    "event_to_retraining": "from the event to the retraining that the automation starts",
    "event_to_run": "from the event to the run that the retraining starts",
    "event_to_training": "from the event to the first optimiser step",
    "event_to_decision": "from the event to the release gate's decision",
    "total": "in all, with the stack's start and the first training",
}


def demo(
    no_drift: Annotated[
        bool, typer.Option("--no-drift", help="More rows of the same kind arrive: nothing starts.")
    ] = False,
    worse: Annotated[
        bool,
        typer.Option("--worse", help="The labels are wrong: the gate refuses what is learned of them."),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave its stack up, for a look at its UI.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the way from drift to a new champion, on a stack of its own, in a few minutes.

    Trains and releases a model on product reviews of three shops. Then 600 tweets arrive at one of them. Its
    scheduled check finds drift, the coordinator's watch verifies the notice and emits an event, an automation
    starts the retraining, and the release gate lets the new model become the champion. Everything that was
    started is stopped. Exits with 1 when something else came of it.
    """
    from flows.cli.progress import run_progress
    from flows.demonstrations.arrivals import DRIFT, NO_DRIFT, WORSE
    from flows.demonstrations.drift import RECIPE, Wanted, demonstrate_drift
    from flows.recipes import load_recipe
    from infra.settings import load_settings

    if no_drift and worse:
        raise InputError(
            "--no-drift and --worse exclude each other",
            fix="leave one out; see fedcart drift demo --help",
            code="usage",
        )
    kind = NO_DRIFT if no_drift else WORSE if worse else DRIFT
    settings = load_settings()
    home = settings.home / RECIPE
    if settings.database:
        notes.print("This stack has an SQLite of its own: FEDCART_DATABASE is left to the other one.")
    wanted = Wanted(kind, load_recipe(RECIPE), home, keep=keep, bucket=settings.chosen_bucket)
    document = demonstrate_drift(wanted, _say, run_progress)
    document["shown"] = as_expected(kind, document)
    if as_json:
        print_json(document)
    else:
        show(document)
        if keep:
            console.print(f"Its stack is up; stop it with FEDCART_HOME={home} fedcart down.", soft_wrap=True)
    if not document["shown"]:
        raise typer.Exit(NOT_SHOWN)


def as_expected(kind: str, document: dict[str, Any]) -> bool:
    """Whether the demonstration shows what it is for."""
    detected, verdict = document["drift"]["detected"], document["gate"]["verdict"]
    stays = document["champion"]["before"] == document["champion"]["after"]
    expected = {
        "drift": (True, "passed", False),
        "worse": (True, "refused", True),
        "no-drift": (False, None, True),
    }
    return (detected, verdict, stays) == expected[kind]


def show(document: dict[str, Any]) -> None:
    """Tables of what drifted, of the gate's checks and of the seconds, and a sentence."""
    drift, gate, champion = document["drift"], document["gate"], document["champion"]
    if drift["scores"]:
        print_table(
            f"Drift at {drift['party']}, over {drift['rows']} rows",
            [("feature", "left"), ("measure", "left"), ("effect", "right"), ("bound", "right")],
            [(s["feature"], s["measure"], f"{s['effect']:.3f}", f"{s['bound']:g}") for s in drift["scores"]],
        )
    if gate["checks"]:
        print_table(
            f"Release gate: {gate['verdict']}",
            [("check", "left"), ("value", "right"), ("bound", "right"), ("verdict", "left")],
            [
                (check["name"], number_cell(check["value"]), number_cell(check["bound"]), check["verdict"])
                for check in gate["checks"]
                if check["verdict"] in DECIDING
            ],
        )
    print_table(
        "How long it took",
        [("what", "left"), ("seconds", "right")],
        [
            (SPANS.get(name, name), f"{value:.1f}")
            for name, value in document["seconds"].items()
            if value is not None
        ],
    )
    for name, why in document["unmeasured"].items():
        notes.print(f"Not measured: {SPANS[name]} ({why}).", soft_wrap=True)
    before, after = (champion[when].get("model_sha256", "")[:12] for when in ("before", "after"))
    console.print(
        f"The champion stays {before}." if before == after else f"Champion before {before}, after {after}."
    )
    if not document["shown"]:
        notes.print("This is not what the demonstration was to show.")


def _say(seconds: float, words: str) -> None:
    said = Text.assemble((f"{seconds:6.1f} s", "dim"), f"  {words}")
    notes.print(said, soft_wrap=True, highlight=False)
