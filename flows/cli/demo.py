"""`fedcart demo`: everything on this machine, from nothing to a model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.output import JsonFlag, RecipeOption, called, console, print_json, step


def demo(
    recipe: RecipeOption = "reviews",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack up and print the link to its UI.")
    ] = False,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Also train each party alone, to compare.")
    ] = False,
    kill_coordinator: Annotated[
        bool,
        typer.Option(
            "--kill-coordinator",
            help="Kill the coordinator with SIGKILL in round 2 (or the only one), and resume the run.",
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Start the local stack, prepare real data, train, show what came of it, and stop what was started."""
    from flows.cli.absent import warn_of_absent
    from flows.cli.progress import run_progress
    from flows.demonstrations.training import Wanted, demonstrate
    from flows.named_places import refuse_missing_places
    from flows.recipes import load_recipe, to_name
    from infra.settings import load_settings

    settings = load_settings()
    home = settings.home
    agreed = load_recipe(recipe)
    refuse_missing_places(agreed)  # the data are prepared while servers start: too late for a slip
    wanted = Wanted(
        agreed,
        home,
        keep=keep,
        baselines=baselines,
        kill_coordinator=kill_coordinator,
        bucket=settings.chosen_bucket,
        database=settings.chosen_database,
    )
    summary = demonstrate(wanted, step, run_progress)
    if as_json:
        print_json(summary)
    else:
        _show(summary, home, recipe, keep=keep)
    warn_of_absent(summary, to_name(agreed.name, recipe))


def _show(summary: dict[str, Any], home: Path, recipe: str, *, keep: bool) -> None:
    """What came of it, how long it took, and where it is."""
    from flows.cli.train import show_summary, tell_model
    from infra.local.plan import read_stack

    show_summary(summary)
    seconds = summary["seconds"]
    console.print(
        f"{seconds['total']:.0f} s in all, {seconds['startup']:.0f} s of them until round 1; "
        f"at most {summary['peak_pss_mb'] / 1000:.1f} GB of memory, all processes together."
    )
    if killed := summary.get("killed"):
        _show_kill(killed, summary["model_sha256"], recipe)
    tell_model(home, summary["run_id"])
    stack = read_stack(home)
    if keep and stack:
        console.print(f"Prefect UI: {stack.ui_url}", soft_wrap=True)
        console.print(f"The stack stays up; stop it with {called()} down.", soft_wrap=True)


def _show_kill(killed: dict[str, Any], model_sha256: str, recipe: str) -> None:
    """What was killed, how soon it went on, and what came of it."""
    began = killed["seconds_to_first_task"]
    went_on = f"it was at work again {began:.1f} s after that" if began is not None else "it went on"
    console.print(
        f"In round {killed['round']} the coordinator was killed (process {killed['pid']}); the run was "
        f"resumed {killed['seconds_to_resume']:.1f} s later, and {went_on}. "
        "Every step that was done was kept."
    )
    plain = f"{called()} demo" + ("" if recipe == "reviews" else f" --recipe {recipe}")
    console.print(f"Kept model {model_sha256}: a plain {plain} on this machine ends with the same one.")
