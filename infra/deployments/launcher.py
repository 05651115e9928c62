"""Applies the declaration and becomes the workers: `python -m infra.deployments.launcher ORDER`.

Importing Prefect takes two seconds of processor time, so it is done once here, and each worker is a fork:
a process and a session of its own, which shares the imported pages. A fork waits until the declaration is
applied; when this process dies before that, so do the forks. ORDER is a JSON file written by
`infra/local/workers.py`.
"""

import asyncio
import gc
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.utilities.processutils import setup_signal_handlers_worker

from fedmodels.errors import FedcartError
from infra.deployments.applying import apply, parameter_schemas
from infra.deployments.declaration import Declaration, declare
from infra.deployments.locked_worker import LockedWorker
from infra.local.prefect_server import answers
from infra.local.processes import open_log, write_record
from infra.waiting import wait_for

_GO = b"g"
_SERVER_TIMEOUT_S = 300.0


def main(order_file: str) -> int:
    """Fork the workers, wait for the API, apply the declaration, let the workers go."""
    order = json.loads(Path(order_file).read_bytes())
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
    try:
        declaration = declare(tuple(order["parties"]), **order["entrypoints"])
        schemas = parameter_schemas(declaration)
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
    if os.read(opened, 1) != _GO:
        return 0
    os.close(opened)
    os.environ.update(environment)
    setup_signal_handlers_worker(os.getpid(), f"the worker of {role}", print)
    try:
        asyncio.run(LockedWorker(role).start())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0
    return 0


async def _apply(declaration: Declaration, schemas: Mapping[str, dict[str, Any]]) -> None:
    async with get_client() as client:
        await apply(client, declaration, schemas)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
