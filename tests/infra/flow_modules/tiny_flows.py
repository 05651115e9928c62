"""Flows for tests of the stack: they tell where they run, or wait until they are stopped."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow


@flow(name="federated-training", persist_result=False)
def training(
    recipe: dict[str, Any], run: str, resume: bool = False, parties: list[str] | None = None
) -> dict[str, Any]:
    return {"run": run}


@flow(name="party-session", persist_result=False)
def session(run: str) -> None:
    """Print what a test wants to know; one called `endless…` ends when it is killed, `brief` after 2 s."""
    role = Path(os.environ["FEDCART_CONFIG"]).parent.name
    folder = "used-folder" if any(Path.cwd().iterdir()) else "fresh-folder"
    line = f"SEEN {run} {role} {os.environ.get('INJECTED')} {folder}\n"
    os.write(sys.stdout.fileno(), line.encode())  # in one piece: others write to the same log
    if run == "brief":
        time.sleep(2.0)
    while run.startswith("endless"):
        time.sleep(0.1)
