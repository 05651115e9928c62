"""One real stack for all end-to-end tests: Prefect server, SeaweedFS, a worker per party, tiny data.

The coordinator's processes carry a watcher that notes every file they open below a party's folder, and
their own settings, so that a watcher that is not there is noticed.
"""

import csv
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from prefect.client.orchestration import SyncPrefectClient

from bench.toy_run import GATE_OF_NO_QUALITY, flow_runs_of
from flows.following import api_url
from infra.local.stack import up

REPOSITORY = Path(__file__).resolve().parents[2]
"""Commands and workers run the code of this checkout, whichever one is installed."""
PARTIES = ("shop-a", "shop-b", "shop-c")
CLASSES = ("1", "2", "3")
WORDS = {"1": "awful", "2": "so so", "3": "great"}

WATCHER_FOLDER = "watcher"
WATCHER = """
from tests.end_to_end.watcher import watch

watch({watched!r}, {log!r})
"""
"""The `sitecustomize` of the stack's processes."""


@dataclass
class Federation:
    """A stack that is up, tables of its parties in a folder of their own, and how to call fedcart on it."""

    home: Path
    private: Path
    """Folder of the parties' tables: no process of the coordinator may open a file there."""
    opened: Path
    """What the coordinator's processes opened below `private` or the parties' homes; and their settings."""
    model: Path
    own: Path
    processes: list[subprocess.Popen] = field(default_factory=list)

    def recipe(self, name: str, **changes) -> Path:
        """Write a recipe for tables that are there; `changes` override its keys."""
        parties = {party: {"train": str(self.private / f"{party}.csv")} for party in PARTIES[:2]}
        document = {
            "name": name,
            "num_rounds": 2,
            "model": {"source": str(self.model), "max_length": 32},
            "data": {"parties": parties, "coordinator": {"table": str(self.own)}},
            "local": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01},
            "gate": GATE_OF_NO_QUALITY,
            "grace": 30.0,
        }
        path = self.home.parent / "recipes" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document | changes))
        return path

    def call(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=280,
            env=self.environment | (environment or {}),
            cwd=self.home.parent,
        )

    def begin(self, *arguments: str) -> subprocess.Popen:
        """Start a command and do not wait for it."""
        started = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.home.parent,
        )
        self.processes.append(started)
        return started

    def document(self, *arguments: str) -> dict:
        """The JSON document of a command that must succeed."""
        done = self.call(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def up(self) -> None:
        """Start what of the stack does not run: all of it, or what was killed."""
        path = os.pathsep.join((str(self.home.parent / WATCHER_FOLDER), str(REPOSITORY)))
        up(self.home, PARTIES, extra_environment={"PYTHONPATH": path})

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "FEDCART_HOME": str(self.home), "PYTHONPATH": str(REPOSITORY)}


def sentences(name: str, count: int) -> list[tuple[str, str]]:
    """Rows that a tiny model can learn; each names whose it is, so that a leaked one is recognised."""
    draw = random.Random(name)
    labels = [draw.choice(CLASSES) for _ in range(count)]
    return [(f"{WORDS[label]} thing no {number} of {name}", label) for number, label in enumerate(labels)]


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def write_parquet(path: Path, rows: list[tuple[str, str]]) -> Path:
    texts, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"text": texts, "label": [int(label) for label in labels]}), path)
    return path


def kill_flow_runs(federation: Federation, role: str, run: str | None = None) -> None:
    """SIGKILL flow runs of one role: the children of its worker, never the worker itself."""
    killed = flow_runs(federation, role, run)
    for process in killed:
        process.kill()
    assert killed


def flow_runs(federation: Federation, role: str, run: str | None = None) -> list[psutil.Process]:
    """Processes that stand for a role's flow runs: those of the training `run`, or of any.

    Sessions of a run that stopped and can be resumed wait for that, and are there beside others. Only
    Prefect's server can tell whose a process is; without it, leave `run` out.
    """
    found = flow_runs_of(federation.home, role)
    if run is None:
        return list(found)
    with SyncPrefectClient(api_url(federation.home)) as client:
        return [p for p, known in found.items() if client.read_flow_run(UUID(known)).parameters["run"] == run]
