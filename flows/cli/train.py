"""`fedcart train`: a run on the deployments that are up."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.output import (
    JsonFlag,
    OutOption,
    called,
    cells,
    console,
    print_json,
    print_key,
    print_table,
    write_json_file,
)


def train(
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            metavar="RECIPE",
            help="Name of a recipe, or path of its file (reviews).",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Id of the new run; made from recipe and time if not given."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run whose coordinator died.")
    ] = None,
    out: OutOption = None,
    model_out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write the kept model to this folder.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train on the stack of this machine, which is up, follow the run, and print what came of it.

    On a Prefect server elsewhere a run is begun with `fedcart deploy --server URL` and `prefect deployment
    run`; docs/operations.md says how, and how it is resumed there.
    """
    from fedmodels.errors import InputError
    from fedmodels.identifiers import check_identifier, new_run_id
    from flows.cli.absent import warn_of_absent
    from flows.cli.progress import goes_on_without, run_progress, told_when_interrupted
    from flows.following import Request, begin, follow, resumable
    from flows.measuring import StartUp
    from flows.model_folders import check_model_target, copy_model
    from flows.named_places import refuse_missing_model
    from flows.noted_tables import refuse_other_tables
    from flows.open_store import refuse_other_stack
    from flows.recipes import load_recipe, to_name
    from flows.reports import write_report
    from infra.local.memory import PeakMemory
    from infra.local.stack import measured_ids
    from infra.local.users import using
    from infra.settings import load_settings
    from infra.whole_files import check_file_target

    settings = load_settings()
    home = settings.home
    if out:
        check_file_target(out)
    if model_out:
        check_model_target(model_out)
    if resume is not None and run is not None:
        raise InputError(
            "A run that is resumed keeps its id, so --run goes with no --resume",
            fix="leave --run out, or --resume to begin a new run",
            code="options-conflict",
        )
    refuse_other_stack(settings, recipe, resume)
    if resume is not None:
        wanted = load_recipe(recipe) if recipe else None
        agreed = resumable(home, check_identifier("run", resume), wanted)
        if wanted and recipe:
            refuse_other_tables(wanted, home, recipe, resume=True)
        request = Request(agreed, resume, resume=True)
    else:
        agreed = load_recipe(recipe or "reviews")
        request = Request(
            agreed,
            new_run_id(agreed.name, datetime.now(UTC)) if run is None else check_identifier("run", run),
        )
        refuse_missing_model(agreed)
        refuse_other_tables(agreed, home, recipe or "reviews")
    began = time.perf_counter()
    with (
        using(home, f"fedcart train of {request.run}"),
        run_progress(request.run) as watch,
        PeakMemory(lambda: measured_ids(home)) as memory,
    ):
        start_up = StartUp(watch, began)
        with told_when_interrupted(
            f"Whether the run {request.run} was begun, fedcart runs follow {request.run} says."
        ):
            begun = begin(request, home)
        with goes_on_without(request.run):
            summary = follow(home, request.run, begun, start_up)
    total = round(time.perf_counter() - began, 2)
    summary["seconds"] = {"startup": start_up.seconds, "total": total}
    summary["peak_pss_mb"] = round(memory.peak_mb, 1)
    write_report(home, summary)
    if model_out:
        copy_model(home, request.run, model_out)
    if out:
        write_json_file(out, summary)
    if as_json:
        print_json(summary)
    else:
        show_summary(summary)
        tell_model(home, request.run)
    warn_of_absent(summary, to_name(agreed.name, recipe))


def show_summary(summary: dict[str, Any]) -> None:
    """Tables of rounds and parties, and one line about the kept model."""
    columns = [("round", "right"), ("outcome", "left"), ("parties", "right"), ("accuracy", "right")]
    columns += [
        ("macro F1", "right"),
        ("loss", "right"),
        ("seconds", "right"),
        ("overhead", "right"),
        ("MB up", "right"),
    ]
    print_table(
        f"{summary['run_id']}: rounds, scored on the coordinator's validation set",
        columns,
        [
            (
                row["round"],
                row["outcome"],
                f"{len(row['accepted'])}/{len(row['accepted']) + len(row['refused'])}",
                *cells(row["metrics"]),
                f"{row['seconds']['total']:.1f}",
                f"{row['seconds']['overhead']:.1f}",
                f"{row['bytes']['up'] / 1e6:.1f}",
            )
            for row in summary["rounds"]
        ],
    )
    print_key("overhead: seconds of a round in which nobody trains or scores; MB up: sent by the parties")
    if summary["rounds"]:
        console.print()
        show_parties(summary["rounds"][-1], summary.get("baselines", {}), summary["final"])
    for row in summary["rounds"]:
        for refusal in row["refused"]:
            console.print(f"round {row['round']}: {refusal['party']} does not count ({refusal['code']})")
    final = summary["final"]
    scored = _with_error(final) if final else "no round passed"
    reason = f": {summary['reason'].rstrip('.')}" if summary["reason"] else ""
    model = summary["model_sha256"][:12] + (f" of round {summary['best_round']}" if final else "")
    console.print(f"{summary['status']}{reason}. Kept model {model}: {scored}.")


def tell_model(home: Path, run: str) -> None:
    """Where the kept model is, and how to try it; nothing of a run that kept none."""
    from infra.locations import kept_model_folder

    folder = kept_model_folder(home, run)
    if folder.is_dir():
        console.print(f"The model is in {folder}. Try it:", soft_wrap=True)
        console.print(f'  {called()} predict {run} --text "works great"', soft_wrap=True)


def show_parties(last_round: dict[str, Any], baselines: dict[str, Any], final: dict[str, Any] | None) -> None:
    """One row a party: its size, its loss, how the shared model does on its own rows, and what it gains.

    Args:
        last_round: of the run's document.
        baselines: party to the scores of the model that it trained alone; empty when none did.
        final: scores of the kept model on the same set, the coordinator's holdout.
    """
    columns = [
        ("party", "left"),
        ("examples", "right"),
        ("train loss", "right"),
        ("accuracy, own holdout", "right"),
    ]
    compared = [("accuracy alone, holdout", "right"), ("gain", "right")] if baselines else []
    rows = []
    for party, row in last_round["parties"].items():
        own = f"{row['metrics']['accuracy']:.3f}" if row["metrics"] else None
        loss = f"{row['train_loss']:.3f}" if row["train_loss"] is not None else None
        extra = _compared(baselines.get(party), final) if baselines else ()
        rows.append((party, row["num_examples"], loss, own, *extra))
    print_table(f"Parties in round {last_round['round']}", columns + compared, rows)
    if baselines:
        print_key(
            "gain: accuracy of the kept model less that of the party's own, both on the coordinator's holdout"
        )


def _compared(alone: dict[str, Any] | None, final: dict[str, Any] | None) -> tuple[str | None, str | None]:
    """What a party reached alone, and what the kept model has over it."""
    if alone is None:
        return None, None
    gain = f"{final['accuracy'] - alone['accuracy']:+.3f}" if final else None
    return f"{alone['accuracy']:.3f}", gain


def _with_error(final: dict[str, Any]) -> str:
    from fedmodels.metrics import standard_error

    error = standard_error(final["accuracy"], final["num_examples"])
    return (
        f"accuracy {final['accuracy']:.3f} ± {error:.3f}, macro F1 {final['macro_f1']:.3f}, "
        f"loss {final['loss']:.3f} on the coordinator's holdout ({final['num_examples']} rows)"
    )
