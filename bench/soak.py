"""Hundreds of rounds with random faults: does every round pass, and does anything grow?

    python -m bench.soak --json --plot soak.png

Two parties and a toy model. Every ten rounds or so one of these is killed with SIGKILL: a party's session,
the coordinator (and the run is resumed), or the object store (and it is started again); the coordinator's
line to the store is slow by some milliseconds throughout. Memory (PSS) and open files of all processes
are sampled by kind of process.

Criterion, for each kind, of the medians over the second quarter of the run and over its last: memory may
grow by a tenth and 20 MB, open files by a tenth and 10. The first quarter, in which caches fill, counts for
nothing. The store's garbage collector lets memory rise and fall as it likes below a limit that it is given,
so it is held to that limit, and 100 MB of mapped files. The exit status is 1 when a kind grew by more, or
the run did not finish.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.proxy import Harm, harming
from bench.report import emit, environment, plot_lines, progress_bar
from bench.toy_run import GATE_OF_NO_QUALITY, kill_flow_runs, kill_server, toy_recipe
from fedmodels.errors import TransientError
from fedmodels.recipe import Recipe
from flows.data_preparation import prepare_data
from flows.following import Request, begin, coordinator_store
from infra.local import processes
from infra.local.seaweedfs import MEMORY_LIMIT_MIB
from infra.local.stack import down, start_store, up
from infra.locations import stack_folder
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings
from infra.waiting import wait_for
from tasks.reading import RunView, read_state, read_summary

PARTIES = ("shop-a", "shop-b")
RUN = "soak"
SAMPLE_S = 5.0
ROUNDS_BETWEEN_FAULTS = (6, 14)
LATENCY_S = 0.002
FAULTS = ("session", "coordinator", "store")
TIMEOUT_S = 4 * 3600.0
GROWTH = {"memory_mb": (1.1, 20.0), "files": (1.1, 10.0)}
"""Figure to the factor and the sum by which its late median may exceed its early one."""
STORE_MOST_MB = MEMORY_LIMIT_MIB * 1.048576 + 100.0


def main() -> None:
    """Soak, print, draw, and fail when something grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="rounds to play")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--plot", type=Path, help="also draw the samples into this PNG or SVG file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedcart-soak-") as folder:
        figures = soak(Path(folder), arguments.rounds, random.Random(arguments.seed))
    samples = figures["samples"]
    rows = [(kind, *(f"{value:.0f}" for value in row)) for kind, row in _table(figures["growth"])]
    emit(
        {**figures, "environment": environment()},
        as_json=arguments.json,
        table=[("process", "MB early", "MB late", "files early", "files late"), *rows],
    )
    if arguments.plot:
        plot_samples(arguments.plot, f"{arguments.rounds} rounds with faults", samples)
    if figures["grew"] or figures["status"] != "finished":
        sys.stderr.write(f"grew: {', '.join(figures['grew']) or 'nothing'}; run {figures['status']}\n")
        sys.exit(1)


def plot_samples(path: Path, title: str, samples: Sequence[Mapping[str, Any]]) -> None:
    """Memory above open files, a line for each kind of process, by rounds that passed."""
    kinds = sorted({kind for sample in samples for kind in sample["memory_mb"]})
    panels = {
        axis: {kind: [(s["round"], s[what][kind]) for s in samples if kind in s[what]] for kind in kinds}
        for axis, what in (("MB (PSS)", "memory_mb"), ("open file descriptors", "files"))
    }
    plot_lines(path, title, "round", panels)


def soak(home: Path, rounds: int, draw: random.Random) -> dict[str, Any]:
    """Play the rounds on a stack of their own; return samples, faults and what grew."""
    recipe = toy_recipe(
        home,
        RUN,
        PARTIES,
        60,
        {},
        num_rounds=rounds,
        max_failed_rounds=rounds,
        local={"epochs": 1, "batch_size": 16},
        gate=GATE_OF_NO_QUALITY,
        grace=120.0,
    )
    began = time.monotonic()
    try:
        up(home, PARTIES)
        prepare_data(recipe, home)
        endpoint = str(load_role_settings(home, "coordinator").s3_endpoint)
        watch = Soak(home, recipe, draw)
        with harming(endpoint, Harm(latency=LATENCY_S)) as line, progress_bar() as shown:
            update_role_settings(home, "coordinator", {"s3_endpoint": line.endpoint})
            watch.begin()
            bar = shown.add_task("rounds", total=rounds)

            def look() -> bool:
                over = watch.look()
                shown.update(bar, completed=watch.state.passed)
                return over

            wait_for(look, timeout=TIMEOUT_S, first_wait=1.0, longest_wait=1.0)
            summary = read_summary(coordinator_store(home), RUN)
    finally:
        down(home)
    growth = grown(watch.samples)
    return {
        "rounds": len(summary["rounds"]),
        "passed": sum(row["outcome"] == "passed" for row in summary["rounds"]),
        "status": summary["status"],
        "seconds": round(time.monotonic() - began, 1),
        "faults": dict(watch.done),
        "growth": growth,
        "grew": growing(growth),
        "samples": watch.samples,
    }


@dataclass
class Soak:
    """One run that is harmed and watched."""

    home: Path
    recipe: Recipe
    draw: random.Random
    state: RunView = field(default_factory=RunView)
    samples: list[dict[str, Any]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    _due: int = 3
    _sampled: float = 0.0

    def begin(self, *, resume: bool = False) -> None:
        """Start the coordinator's flow run."""
        begin(Request(self.recipe, RUN, resume=resume), self.home)

    def look(self) -> bool:
        """Sample, and harm when it is time; whether the run is closed."""
        with suppress(TransientError):
            self.state = read_state(coordinator_store(self.home), RUN, self.state)
        if time.monotonic() - self._sampled > SAMPLE_S:
            self._sampled = time.monotonic()
            self.samples.append({"round": self.state.passed, **sample(self.home)})
        if self.state.closed is None and self.state.round >= self._due and self.state.cohort:
            self._due = self.state.round + self.draw.randint(*ROUNDS_BETWEEN_FAULTS)
            self._harm(self.draw.choice(FAULTS))
        return self.state.closed is not None

    def _harm(self, fault: str) -> None:
        self.done[fault] += 1
        if fault == "store":
            kill_server(self.home, "store")
            start_store(self.home)
            return
        kill_flow_runs(self.home, "coordinator" if fault == "coordinator" else self.draw.choice(PARTIES))
        if fault == "coordinator":
            self.begin(resume=True)


def sample(home: Path) -> dict[str, dict[str, float]]:
    """Memory in MB and open files of the stack's processes, summed by kind of process."""
    folder = stack_folder(home.resolve())
    names = {record.pid: name for name, record in processes.read_records(folder).items()}
    memory: defaultdict[str, float] = defaultdict(float)
    files: defaultdict[str, float] = defaultdict(float)
    for process in processes.marked(folder):
        with suppress(psutil.Error, FileNotFoundError):
            kind = _kind(names.get(process.pid, ""), process.name())
            memory[kind] += process.memory_full_info().pss / 1e6
            files[kind] += process.num_fds()
    return {"memory_mb": dict(memory), "files": dict(files)}


def grown(samples: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Kind of process to its early and late medians, and whether that is growth by `GROWTH`."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    found: dict[str, dict[str, Any]] = {}
    for kind in sorted({kind for each in late for kind in each["memory_mb"]}):
        found[kind] = {}
        for what, (factor, more) in GROWTH.items():
            medians = [
                statistics.median([each[what][kind] for each in part if kind in each[what]] or [0.0])
                for part in (early, late)
            ]
            bound = medians[0] * factor + more
            found[kind][what] = {
                "early": round(medians[0], 1),
                "late": round(medians[1], 1),
                "grew": medians[1] > bound,
            }
    if "store" in found:
        most = max(each["memory_mb"].get("store", 0.0) for each in samples)
        found["store"]["memory_mb"] |= {"most": round(most, 1), "grew": most > STORE_MOST_MB}
    return found


def growing(growth: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """What of `grown` is no longer flat, e.g. `run memory_mb`."""
    return [f"{kind} {what}" for kind, row in growth.items() for what in GROWTH if row[what]["grew"]]


def _table(growth: dict[str, dict[str, Any]]) -> Iterator[tuple[str, tuple[float, ...]]]:
    for kind, row in growth.items():
        yield kind, tuple(row[what][when] for what in GROWTH for when in ("early", "late"))


def _kind(record: str, shown: str) -> str:
    """`store`, `server`, `worker`, `nursery`, `run`, or `stand-in` for what waits for a run."""
    if record:
        return record.partition("-")[0]
    first = shown.partition(" ")[0]
    return first if first in ("nursery", "run") else "stand-in"


if __name__ == "__main__":
    main()
