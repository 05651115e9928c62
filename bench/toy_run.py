"""What benchmarks of whole runs share: a recipe with a toy model and made-up tables, and what they kill."""

import csv
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from fedmodels.recipe import Recipe
from fedmodels.toy_model import write_toy_model
from flows.recipes import load_recipe
from infra.local import processes
from infra.locations import stack_folder
from infra.waiting import wait_for

LABELS = ("bad", "good")
GATE_OF_NO_QUALITY = {"max_metric_drop": None, "max_party_drop": None, "max_loss_ratio": None}
"""A gate that lets a toy model pass, whatever it scores."""


def toy_recipe(
    home: Path, name: str, parties: tuple[str, ...], rows: int, shape: dict[str, int], **values: Any
) -> Recipe:
    """Write tables and a model below `home`, and a recipe that names them.

    Args:
        home: folder of the stack.
        name: of the recipe, and of its files.
        parties: ids of the parties, each with a table of its own.
        rows: of each table, half of them of either label.
        shape: arguments of `write_toy_model`.
        values: more keys of the recipe.
    """
    folder = home / "inputs" / name
    folder.mkdir(parents=True, exist_ok=True)
    tables = {owner: folder / f"{owner}.csv" for owner in (*parties, "own")}
    for owner, table in tables.items():
        with table.open("w", newline="") as file:
            lines = [(f"{owner} says {number}", LABELS[number % 2]) for number in range(rows)]
            csv.writer(file).writerows([("text", "label"), *lines])
    document = {
        "name": name,
        "model": {"source": str(write_toy_model(folder / "model", **shape)), "max_length": 16},
        "data": {
            "labels": list(LABELS),
            "parties": {party: {"train": str(tables[party])} for party in parties},
            "coordinator": {"table": str(tables["own"])},
        },
        **values,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_recipe(str(path))


def kill_server(home: Path, name: str) -> None:
    """SIGKILL one recorded process of the stack, `store` or `server`, and wait until it is gone."""
    record = processes.read_records(stack_folder(home.resolve()))[name]
    os.kill(record.pid, signal.SIGKILL)
    if not wait_for(lambda: record.process is None, timeout=10):
        raise RuntimeError(f"the process {record.pid} of {name} outlives SIGKILL")


def kill_flow_runs(home: Path, role: str) -> None:
    """SIGKILL whatever stands for the flow runs of one role."""
    for process in flow_runs_of(home, role):
        process.kill()


def flow_runs_of(home: Path, role: str) -> dict[psutil.Process, str]:
    """The processes that stand for flow runs of a role, each with the id of its flow run."""
    found = {}
    for process in processes.marked(stack_folder(home.resolve())):
        with suppress(psutil.Error):
            environ = process.environ()
            if "PREFECT__FLOW_RUN_ID" in environ and f"/{role}/" in environ.get("FEDCART_CONFIG", ""):
                found[process] = environ["PREFECT__FLOW_RUN_ID"]
    return found
