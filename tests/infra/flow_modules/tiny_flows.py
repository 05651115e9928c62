"""Flows for tests of the stack: they tell where they run, or wait until they are stopped."""

import os
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
    """Print what a test wants to know; a run called `endless` ends when it is killed."""
    print(
        "SEEN",
        run,
        Path(os.environ["FEDCART_CONFIG"]).parent.name,
        os.environ.get("INJECTED"),
        "used-folder" if any(Path.cwd().iterdir()) else "fresh-folder",
        flush=True,
    )
    while run == "endless":
        time.sleep(0.1)
