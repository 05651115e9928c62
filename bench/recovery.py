"""How soon a run goes on after something was killed in the middle of a round.

    python -m bench.recovery --json

Two parties and a toy model, so that next to nothing of the time is training. In turn, each in a run of its
own, one of these is killed with SIGKILL in round 2:

- `coordinator`: from the resume command to the first task of the step that was open;
- `store`: from the moment at which the restarted object store answers until the open round is committed;
- `prefect`: server and coordinator are killed and the server's database is deleted; from the start of a new
  server, over the resume command, until the new coordinator holds the run.

Every run must then end with all its rounds passed, or there is no figure. The exit status is 1 when one of
the times was longer than is promised.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.report import emit, environment, plot_bars, progress_bar
from bench.toy_run import GATE_OF_NO_QUALITY, kill_flow_runs, kill_server, toy_recipe
from fedmodels.protocol.messages import Head
from fedmodels.recipe import Recipe
from flows.data_preparation import prepare_data
from flows.demonstrations.killing import train_through_a_kill
from flows.following import Request, begin, coordinator_store, follow, look_until
from infra.layout import head_key
from infra.local.stack import down, start_store, up
from infra.locations import stack_folder
from infra.waiting import wait_for
from tasks.exchange import read_message
from tasks.reading import RunView

PARTIES = ("shop-a", "shop-b")
ROUNDS = 6
KILLED_IN_ROUND = 2
PROMISED_S = {"coordinator": 15.0, "store": 10.0, "prefect": 60.0}
LIMIT_S = 300.0


def main() -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="runs for each of what is killed")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--plot", type=Path, help="also draw the figures into this PNG or SVG file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedcart-bench-") as folder:
        figures = measure(Path(folder), arguments.repeats)
    rows = [
        (
            name,
            f"{figures[name]['median_s']:.1f}",
            f"{figures[name]['most_s']:.1f}",
            f"{figures[name]['promised_s']:.0f}",
        )
        for name in KILLS
    ]
    emit(
        {**figures, "environment": environment()},
        as_json=arguments.json,
        table=[("killed", "median s", "most s", "promised s"), *rows],
    )
    if arguments.plot:
        bars = {f"{name} (at most {PROMISED_S[name]:.0f} s)": figures[name]["median_s"] for name in KILLS}
        plot_bars(arguments.plot, "From the restart until the run goes on", "s", bars)
    if missed := promises_missed(figures):
        sys.stderr.write("".join(f"{sentence}\n" for sentence in missed))
        sys.exit(1)


def promises_missed(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each kind of kill after which a run took longer than promised to go on, if only once."""
    return [
        f"promise missed: {name} took {row['most_s']:.1f} s, and {row['promised_s']:.0f} s are promised"
        for name, row in figures.items()
        if row["most_s"] > row["promised_s"]
    ]


def measure(home: Path, repeats: int) -> dict[str, Any]:
    """Kill each in turn, `repeats` times, on one stack; figures by what was killed."""
    recipe = toy_recipe(
        home,
        "recovery",
        PARTIES,
        60,
        {},
        num_rounds=ROUNDS,
        min_available_parties=2,
        grace=10.0,
        gate=GATE_OF_NO_QUALITY,
    )
    seconds: dict[str, list[float]] = {name: [] for name in KILLS}
    try:
        up(home, PARTIES)
        prepare_data(recipe, home)
        turns = [(name, turn) for turn in range(repeats) for name in KILLS]
        with progress_bar() as shown:
            for name, turn in shown.track(turns, description="killed and gone on"):
                request = Request(recipe, f"{name}-{turn}")
                seconds[name].append(round(KILLS[name](home, request), 2))
    finally:
        down(home)
    return {
        name: {
            "median_s": statistics.median(took),
            "most_s": max(took),
            "promised_s": PROMISED_S[name],
            "all_s": took,
        }
        for name, took in seconds.items()
    }


def kill_coordinator(home: Path, request: Request) -> float:
    """Seconds from the resume command to the first task of the step that was open."""
    summary = train_through_a_kill(home, request, lambda _said: None, lambda _state: None)
    _require_all_passed(summary, request.recipe)
    seconds: float = summary["killed"]["seconds_to_first_task"]
    return seconds


def kill_store(home: Path, request: Request) -> float:
    """Seconds from the restarted store's first answer until the round that was open is committed."""
    training = _begun(home, request)
    kill_server(home, "store")
    start_store(home)
    back = time.monotonic()
    _await_head(home, request.run, lambda head: head.round >= KILLED_IN_ROUND)
    took = time.monotonic() - back
    _require_all_passed(follow(home, request.run, training), request.recipe)
    return took


def kill_prefect(home: Path, request: Request) -> float:
    """Seconds from the start of a new server until a new coordinator holds the run."""
    _begun(home, request)
    kill_server(home, "server")
    kill_flow_runs(home, "coordinator")
    for file in (stack_folder(home) / "prefect").glob("prefect.db*"):
        file.unlink()
    lost = time.monotonic()
    up(home, PARTIES)
    resumed = begin(replace(request, resume=True), home)
    _await_head(home, request.run, lambda head: head.epoch == 2)
    took = time.monotonic() - lost
    _require_all_passed(follow(home, request.run, resumed), request.recipe)
    return took


KILLS: dict[str, Callable[[Path, Request], float]] = {
    "coordinator": kill_coordinator,
    "store": kill_store,
    "prefect": kill_prefect,
}


def _begun(home: Path, request: Request) -> str:
    """Begin the run; return its flow run when round 2 is open."""
    training = begin(request, home)

    def is_open(state: RunView) -> bool:
        return state.round >= KILLED_IN_ROUND and bool(state.cohort)

    look_until(home, request.run, training, lambda _state: None, is_open, every=0.05)
    return training


def _await_head(home: Path, run: str, there: Callable[[Head], bool]) -> None:
    store = coordinator_store(home)

    def look() -> bool:
        head = read_message(store, head_key(run), Head)
        return head is not None and there(head)

    if not wait_for(look, timeout=LIMIT_S, first_wait=0.05, longest_wait=0.2):
        raise RuntimeError(f"run {run} did not go on within {LIMIT_S:.0f} s")


def _require_all_passed(summary: dict[str, Any], recipe: Recipe) -> None:
    outcomes = [row["outcome"] for row in summary["rounds"]]
    if outcomes != ["passed"] * recipe.num_rounds:
        raise RuntimeError(f"rounds ended as {', '.join(outcomes)}")


if __name__ == "__main__":
    main()
