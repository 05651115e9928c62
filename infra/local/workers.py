"""One Prefect process worker per role, started together by `infra/deployments/launcher.py`."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.deployments import heartbeats
from infra.deployments.start_run import NURSERY
from infra.local import prefect_server, processes
from infra.local.processes import Record
from infra.locations import logs_folder, role_folder, role_settings, stack_folder
from infra.private_files import write_json

POLL_S = "1"
LAUNCHER = "launcher"
PRELOADED = (
    "fedmodels.workbench",
    "fedmodels.data.prepared",
    "transformers.models.bert.modeling_bert",
    "great_expectations",
    "dvc.repo",
    "dvc.scm",
    "networkx",
    "s3fs",
    "model_signing",
)
"""What a training's session, which pins its data, and a release import: once, before the flow run is forked
(see `nursery.py`)."""


def worker_name(role: str) -> str:
    """Name of the role's worker among the stack's processes."""
    return f"worker-{role}"


def launch(
    home: Path,
    parties: tuple[str, ...],
    missing: tuple[str, ...],
    port: int,
    entrypoints: Mapping[str, str],
    preload: tuple[str, ...],
    extra_environment: Mapping[str, str],
) -> Record:
    """Start the launcher, which declares pools and deployments and becomes the workers that are missing.

    Args:
        home: absolute path of the home folder.
        parties: all parties of the declaration.
        missing: roles whose worker is to be started.
        port: of the Prefect server; it need not answer yet.
        entrypoints: arguments of `declare` other than the parties.
        preload: modules to import before the workers are forked.
        extra_environment: more variables for workers and the runs that they start.
    """
    stack = stack_folder(home)
    order = stack / "launch.json"
    write_json(
        order,
        {
            "stack": str(stack),
            "logs": str(logs_folder(home)),
            "parties": list(parties),
            "port": port,
            "entrypoints": dict(entrypoints),
            "preload": list(preload),
            "workers": {role: _place(home, role) for role in missing},
        },
    )
    return processes.start(
        stack,
        LAUNCHER,
        [sys.executable, "-m", "infra.deployments.launcher", str(order)],
        role="all",
        what="launcher of workers",
        log=logs_folder(home) / f"{LAUNCHER}.log",
        environment=environment(stack, port) | dict(extra_environment),
        folder=stack,
    )


def environment(stack: Path, port: int) -> dict[str, str]:
    """Of workers and of the runs that they start: nothing is sent to anybody but the local API.

    Logs and events travel in the background; what Prefect knows is a view, and no run waits for it.
    """
    inherited = prefect_server.clean_environment()
    return inherited | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")]),
        "PREFECT_HOME": str(stack / "prefect-client"),
        "PREFECT_API_URL": prefect_server.api_url(port),
        "PREFECT_WORKER_QUERY_SECONDS": POLL_S,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(heartbeats.EVERY_S),
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        # A run has dozens of threads that wait; each would keep freed memory in an arena of its own.
        "MALLOC_ARENA_MAX": "2",
        # Threads that wait give the processor away: spinning costs a busy machine up to six times the
        # time and gains an idle one a twentieth.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def _place(home: Path, role: str) -> dict[str, str]:
    """Where a role's processes find their settings, and the socket of their nursery."""
    return {"FEDCART_CONFIG": str(role_settings(home, role)), NURSERY: str(role_folder(home, role))}
