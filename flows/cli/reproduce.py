"""`fedcart reproduce`: train a run again, and say whether the same model came of it."""

from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmodels.protocol.reproduction import TRAINING_ROWS
from flows.cli.output import (
    JsonFlag,
    OutOption,
    RunArgument,
    print_json,
    print_table,
    say,
    warn,
    write_json_file,
)

if TYPE_CHECKING:
    from fedmodels.protocol.messages import Environment, Plan
    from fedmodels.protocol.reproduction import Difference, PlayedRun
    from infra.checkout import Checkout
    from infra.object_store import ObjectStore


def reproduce(
    run: RunArgument,
    name: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Id of the new run; RUN-again-1 if not given.")
    ] = None,
    code_into: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Train nothing; check out the code that trained RUN there."),
    ] = None,
    out: OutOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a finished run again on the stack that is up, and compare; exit with 1 when the models differ.

    The recipe is that of the run's plan, and each party trains on the version
    of its tables that it kept of the run. With the same rows, parties, code,
    torch build and instruction set the model is the same, bit for bit. Where
    it is not, the first thing that differs is named, in the order of cause
    and effect: the plan, the coordinator's rows, then round by round who
    counted, on which rows, the updates, their average and the candidate; and
    what coordinator and parties compute with that is another now.

    The code that runs is that of this installation. Was the run made by
    another commit, a warning says so first; --code-into FOLDER checks that
    commit out beside this one and says how to go on there. A run that began
    from the model of an earlier one begins there again; is that gone, a
    warning says so first, too.
    """
    from fedmodels.errors import RunConflict
    from fedmodels.identifiers import check_identifier
    from fedmodels.protocol.reproduction import environment_differences, first_difference
    from flows.cli.progress import goes_on_without, run_progress
    from flows.following import Request, begin, follow, running_store
    from infra.checkout import read_checkout
    from infra.code_worktree import check_out_beside
    from infra.local.users import using
    from infra.settings import load_settings
    from infra.whole_files import check_file_target
    from tasks.reproducing import next_name, read_played

    home = load_settings().home
    if out:
        check_file_target(out)
    store = running_store(home)
    then = read_played(store, check_identifier("run", run))
    if code_into:
        check_out_beside(known_commit(run, then.plan.environment), code_into)
        tell_steps(run, code_into, home, as_json=as_json)
        return
    if other_code := code_in_words(then.plan.environment, read_checkout()):
        warn(other_code)
    if lost := lost_start(store, then.plan):
        warn(lost)
    again = check_identifier("run", name) if name else next_name(store, run)
    request = Request(then.plan.recipe, again, parties=tuple(sorted(then.plan.parties)), repeats=run)
    with using(home, f"fedcart reproduce of {run}"), run_progress(again) as watch:
        begun = begin(request, home)
        with goes_on_without(again):
            summary = follow(home, again, begun, watch)
    if summary["status"] != "finished":
        raise RunConflict(
            f"The run {again}, which was to repeat {run}, is {summary['status']}",
            fix=f"run fedcart reproduce {run} again",
            code="run-unfinished",
        )
    now = read_played(store, again)
    found = document(then, now, first_difference(then, now), environment_differences(then, now))
    if out:
        write_json_file(out, found)
    if as_json:
        print_json(found)
    else:
        tell(found)
    if not found["equal"]:
        raise typer.Exit(1)


def code_in_words(then: "Environment | None", here: "Checkout") -> str:
    """That the code is another than the run's, and what to do; empty when it is the same."""
    if then is None or not then.code:
        return "it is not known which commit trained this run."
    if then.modified:
        return f"the run was trained by commit {then.code[:12]} with changes that no commit holds."
    if here.commit == then.code and not here.modified:
        return ""
    ours = f"commit {here.commit[:12]}" if here.commit else "code of no commit"
    return (
        f"the run was trained by commit {then.code[:12]}, and this is {ours}"
        f"{' with changes' if here.modified else ''}; for the same code, add "
        "--code-into FOLDER, which checks it out there and says how to go on."
    )


def lost_start(store: "ObjectStore", plan: "Plan") -> str:
    """That the run began from a model that is gone, and what to do; empty when it can begin there again."""
    from fedmodels.errors import IntegrityError
    from tasks.models import MODEL_GONE, hindered_start

    start = plan.begins_from
    if start is None:
        return ""
    try:
        why = hindered_start(store, plan, start)
    except IntegrityError as error:
        why = error.sentence
    if not why:
        return ""
    advice = f" To have that model made again, give fedcart reproduce {start.run} first."
    return (
        f"the run began from the model of {start.run} after round {start.round}, which cannot be had: {why}; "
        "it is trained from the base model now, and comes to another one."
        f"{advice if why == MODEL_GONE else ''}"
    )


def known_commit(run: str, then: "Environment | None") -> str:
    """The commit that trained a run.

    Raises:
        RunConflict: `code-unknown`: its plan names none, or none that is all of its code.
    """
    from fedmodels.errors import RunConflict

    if then is not None and then.code and not then.modified:
        return then.code
    of_what = "by code of no commit" if then is None or not then.code else "with changes that no commit holds"
    raise RunConflict(
        f"The run {run} was trained {of_what}, so that its code cannot be checked out",
        fix="leave --code-into out to train it again with the code that is here",
        code="code-unknown",
    )


def tell_steps(run: str, folder: Path, home: Path, *, as_json: bool) -> None:
    """How to go on in the folder that holds the code of a run."""
    steps = [
        "fedcart down",
        f"cd {quote(str(folder.absolute()))}",
        "make setup",
        f"export FEDCART_HOME={quote(str(home.absolute()))}",
        ".venv/bin/fedcart up",
        f".venv/bin/fedcart reproduce {run}",
    ]
    if as_json:
        print_json({"run_id": run, "folder": str(folder.absolute()), "steps": steps})
        return
    say(f"The code of {run} is in {folder}. To train the run again with it:")
    for step in steps:
        say(f"  {step}")


def document(
    then: "PlayedRun",
    now: "PlayedRun",
    difference: "Difference | None",
    environment: "tuple[Difference, ...]",
) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "run_id": then.plan.run,
        "recipe": then.plan.recipe.name,
        "again": now.plan.run,
        "equal": then.closed.model_sha256 == now.closed.model_sha256,
        "model_sha256": {"then": then.closed.model_sha256, "now": now.closed.model_sha256},
        "rounds": len(now.rounds),
        "first_difference": asdict(difference) if difference else None,
        "environment": [asdict(each) for each in environment],
    }


def tell(found: dict[str, Any]) -> None:
    """The same for people."""
    from flows.recipes import to_name

    columns = [("where", "left"), ("what", "left"), ("then", "left"), ("now", "left")]
    rows = [_row(each) for each in found["environment"]]
    if rows:
        print_table("Computed with something else", columns, rows)
    if found["first_difference"]:
        print_table("The first thing that differs", columns, [_row(found["first_difference"])])
        if found["first_difference"]["what"] == TRAINING_ROWS:
            party = found["first_difference"]["where"].rpartition(" ")[2]
            named = f"--party {party} --recipe {to_name(found['recipe'])}"
            say(
                f"Rows that were withdrawn at {party} since then stay out. If none were, fedcart data "
                f"versions {named} says there on which version each run trained, and fedcart data checkout "
                "brings one back."
            )
    models = found["model_sha256"]
    if found["equal"]:
        say(f"{found['run_id']} was made again as {found['again']}: the same model {models['now'][:12]}.")
    else:
        say(
            f"{found['again']} is not {found['run_id']} again: model {models['now'][:12]}, "
            f"and {models['then'][:12]} then. See fedcart runs show {found['again']}."
        )


def _row(difference: dict[str, str]) -> tuple[str, ...]:
    shown = (_shortened(difference[side]) for side in ("then", "now"))
    return (difference["where"], difference["what"], *shown)


def _shortened(value: str) -> str:
    """Twelve digits of a hash are enough for people."""
    is_hash = len(value) >= 40 and all(digit in "0123456789abcdef" for digit in value)
    return value[:12] if is_hash else value
