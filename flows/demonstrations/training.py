"""The whole thing on one machine: stack, data, a run, a report; if wanted, what each party gets alone."""

import importlib
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedmodels.identifiers import new_run_id
from fedmodels.recipe import Recipe
from flows.abandoning import abandon, cut_off_told
from flows.data_preparation import prepare_data
from flows.demonstrations.baselines import alone_requests, train_alone
from flows.demonstrations.killing import train_through_a_kill
from flows.following import Request, begin, follow
from flows.measuring import StartUp
from flows.reports import write_report
from infra.local.endings import PATIENCE_S
from infra.local.memory import PeakMemory
from infra.local.plan import switch_of_bucket
from infra.local.stack import down, measured_ids, stands, up
from infra.local.users import users, using

Say = Callable[[str], None]
ENDING_S = 10.0
"""For which the flow runs of a run that is over may take to end and to say so; they need a second or two."""
PREFECT_CLIENT = "prefect.client.orchestration"
"""Takes a second to import, and is needed as soon as the stack is up."""


@dataclass(frozen=True)
class Wanted:
    """What a person asked the demonstration for."""

    recipe: Recipe
    home: Path
    keep: bool = False
    baselines: bool = False
    kill_coordinator: bool = False
    bucket: str | None = None
    """That of the time before, unless somebody chose one."""
    database: str | None = field(default=None, repr=False)
    """URL of a PostgreSQL for the Prefect server, a secret; as it was, unless somebody chose one."""


def demonstrate(wanted: Wanted, say: Say, watch: Callable[[str], Any]) -> dict[str, Any]:
    """Bring everything up, train, and return the run's document with times and peak memory.

    A stack that was up before is left up; one that was started here is stopped, whatever happens,
    unless `keep` is set, or another command or run uses it by then. A store that ran alone, for another
    command, is no stack.

    Args:
        wanted: recipe, home folder and flags.
        say: tells a person what happens now, in a few words.
        watch: makes a context manager from a title, which gives the function that shows progress.
    """
    begin_time = time.perf_counter()
    goes_down = not (wanted.keep or stands(wanted.home))
    patience = PATIENCE_S
    now = datetime.now(UTC)
    request = Request(wanted.recipe, new_run_id(wanted.recipe.name, now))
    alone = alone_requests(wanted.recipe, now).values() if wanted.baselines else ()
    try:
        with PeakMemory(lambda: measured_ids(wanted.home)) as memory:
            bring_up(wanted.recipe, wanted.home, say, bucket=wanted.bucket, database=wanted.database)
            with using(wanted.home, f"fedcart demo of {request.run}"):
                summary, startup = _train(wanted, request, say, watch, begin_time, goes_down=goes_down)
            summary["seconds"] = {"startup": startup, "total": round(time.perf_counter() - begin_time, 2)}
        summary["peak_pss_mb"] = round(memory.peak_mb, 1)
        write_report(wanted.home, summary)
        if wanted.baselines:
            say(f"{summary['run_id']} is {summary['status']}; training each party alone, for as many steps")
            with using(wanted.home, f"baselines of fedcart demo of {request.run}"):
                summary["baselines"] = train_alone(wanted.recipe, wanted.home, say, now, goes_down=goes_down)
            write_report(wanted.home, summary)
    except KeyboardInterrupt:
        if not goes_down:
            say("a run that was begun goes on in the workers; see fedcart runs list, fedcart runs follow RUN")
        raise
    else:
        patience = ENDING_S
        return summary
    finally:
        if goes_down:
            say("stopping what was started")
            stop_unless_used(wanted.home, patience, [each.run for each in (request, *alone)], say)


def stop_unless_used(home: Path, patience: float, own_runs: Collection[str], say: Say) -> None:
    """Stop the stack that was started here, unless somebody else uses it by now; then say who does."""
    others: list[str] = []

    def in_use(going: tuple[str, ...]) -> bool:
        others.extend(users(home, going, own_runs))
        return bool(others)

    down(home, patience=patience, in_use=in_use)
    if others:
        say(f"the stack stays up, since it is used by {', '.join(others)}; stop it with fedcart down")


def bring_up(
    recipe: Recipe, home: Path, say: Say, *, bucket: str | None = None, database: str | None = None
) -> None:
    """Start the stack while the data are prepared; both must succeed."""
    if switched := switch_of_bucket(home, bucket):
        say(switched)
    failures: list[BaseException] = []

    def prepare() -> None:
        try:
            if warning := prepare_data(recipe, home, say).warning:
                say(warning)
            importlib.import_module(PREFECT_CLIENT)
        except BaseException as error:  # noqa: BLE001 (carried to the thread that waits, and raised there)
            failures.append(error)

    preparing = threading.Thread(target=prepare)
    preparing.start()
    try:
        up(
            home,
            recipe.parties,
            bucket=bucket,
            database=database,
            on_step=lambda part: say(f"{part}: up"),
        )
    finally:
        preparing.join()
    if failures:
        raise failures[0]


def _train(
    wanted: Wanted,
    request: Request,
    say: Say,
    watch: Callable[[str], Any],
    begin_time: float,
    *,
    goes_down: bool,
) -> tuple[dict[str, Any], float]:
    with cut_off_told(request.run, goes_down=goes_down), watch(request.run) as show:
        start_up = StartUp(show, begin_time)
        try:
            if wanted.kill_coordinator:
                summary = train_through_a_kill(wanted.home, request, say, start_up)
            else:
                summary = follow(wanted.home, request.run, begin(request, wanted.home), start_up)
        except KeyboardInterrupt:
            if goes_down:
                abandon(wanted.home, request.run, "its demonstration was interrupted", say)
            raise
    return summary, start_up.seconds
