"""Applies the declaration and becomes the workers: `python -m infra.deployments.launcher ORDER`.

Importing Prefect, and all that a training needs, takes nine seconds of processor time, so it is done once
here. Each worker is a fork: a process and a session of its own, which shares the imported pages; and so is
its nursery, from which the worker's flow runs are forked. A worker waits until the declaration is applied;
when this process dies before that, so do the workers. ORDER is a JSON file written by
`infra/local/workers.py`.
"""

import asyncio
import gc
import importlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.utilities.processutils import setup_signal_handlers_worker

from fedmodels.errors import FedcartError
from infra.checkout import running_checkout
from infra.deployments.applying import apply, parameter_schemas
from infra.deployments.declaration import Declaration, declare
from infra.deployments.locked_worker import LockedWorker
from infra.deployments.nursery import Nursery, become
from infra.deployments.start_run import NURSERY
from infra.local.prefect_server import answers
from infra.local.processes import open_log, write_record
from infra.waiting import wait_for

FORKS_RUNS = sys.platform == "linux"
"""Elsewhere the system's own frameworks do not survive a fork, and runs start in fresh interpreters."""
_GO = b"g"
_SERVER_TIMEOUT_S = 300.0


def main(order_file: str) -> int:
    """Import, fork the workers, wait for the API, apply the declaration, let the workers go."""
    order = json.loads(Path(order_file).read_bytes())
    try:
        declaration = declare(tuple(order["parties"]), **order["entrypoints"])
        schemas = parameter_schemas(declaration)
        for module in order["preload"] if FORKS_RUNS else ():
            importlib.import_module(module)
        running_checkout()  # which code it is that was imported, whatever is checked out later
        gc.collect()
        gc.freeze()
        opened, go = os.pipe()
        for role, environment in order["workers"].items():
            log = Path(order["logs"]) / f"worker-{role}.log"
            pid = os.fork()
            if pid == 0:
                os.close(go)
                return work(opened, role, environment, log)
            write_record(Path(order["stack"]), f"worker-{role}", pid, role=role, what="worker", log=log)
        os.close(opened)
        wait_for(lambda: answers(order["port"]), timeout=_SERVER_TIMEOUT_S)
        asyncio.run(_apply(declaration, schemas))
    except FedcartError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    os.write(go, _GO * len(order["workers"]))
    return 0


def work(opened: int, role: str, environment: Mapping[str, str], log: Path) -> int:
    """Be the worker of `role`, until a signal ends it."""
    os.setsid()
    with open_log(log) as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os.environ.update(environment)
    if FORKS_RUNS:
        alive, held = os.pipe()  # `held` is closed when this process ends, however it does
        if os.fork() == 0:
            os.close(held)
            os.close(opened)
            return nurse(role, alive)
        os.close(alive)
    _show_as(f"worker {role}")
    if os.read(opened, 1) != _GO:
        return 0
    os.close(opened)
    setup_signal_handlers_worker(os.getpid(), f"the worker of {role}", print)
    try:
        asyncio.run(LockedWorker(role).start())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0
    return 0


def nurse(role: str, worker: int) -> int:
    """Be the nursery of a worker; in each child of it, be the flow run.

    A run's output goes to the worker's log itself. The streams of its caller are pipes to the worker, which
    would copy them there; with a worker that was killed they break, and the run ends at its next line.
    """
    _show_as(f"nursery {role}")
    birth = Nursery(Path(os.environ.pop(NURSERY)), worker).serve()
    if birth is None:
        return 0
    _show_as(f"run {role}")
    become(birth.without_output())
    return 0


def _show_as(name: str) -> None:
    """The name under which Linux lists this process, 15 characters of it: all forks have one command."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15])


async def _apply(declaration: Declaration, schemas: Mapping[str, dict[str, Any]]) -> None:
    async with get_client() as client:
        await apply(client, declaration, schemas)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
