"""What of a stack runs where, and what died."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from infra.local import prefect_server, seaweedfs, workers
from infra.local.plan import Stack, read_stack
from infra.local.processes import Record, last_lines, read_records
from infra.local.stack import SERVER, STORE
from infra.locations import stack_folder

State = Literal["running", "not answering", "died", "stopped"]


@dataclass(frozen=True)
class ProcessStatus:
    """One process of the stack. `last_lines` of its log are there when it died or does not answer."""

    name: str
    role: str
    what: str
    state: State
    pid: int | None
    port: int | None
    up_seconds: float | None
    log: str | None
    last_lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class StackStatus:
    """A whole stack; without one, nothing but `processes=()`."""

    stack: Stack | None
    processes: tuple[ProcessStatus, ...]

    @property
    def state(self) -> Literal["up", "degraded", "down"]:
        """`up` when all of it works, `down` when nothing was started, else `degraded`."""
        states = {process.state for process in self.processes}
        if states <= {"stopped"}:
            return "down"
        return "up" if states == {"running"} else "degraded"

    def document(self) -> dict[str, Any]:
        """The same as JSON. A server that is down has no address: its port may be another's by now."""
        stack = self.stack
        lives = {process.name for process in self.processes if process.state in ("running", "not answering")}
        server, store = (stack if name in lives else None for name in (SERVER, STORE))
        return {
            "state": self.state,
            "home": str(stack.home) if stack else None,
            "ui_url": server.ui_url if server else None,
            "api_url": server.api_url if server else None,
            "s3_endpoint": store.endpoint if store else None,
            "bucket": stack.bucket if stack else None,
            "parties": list(stack.parties) if stack else [],
            "processes": [
                {**vars(process), "last_lines": list(process.last_lines)} for process in self.processes
            ],
        }


def status(home: Path) -> StackStatus:
    """Look at every process that the stack of `home` should have. Changes nothing."""
    stack = read_stack(home)
    if stack is None:
        return StackStatus(None, ())
    records = read_records(stack_folder(stack.home))
    expected = {
        STORE: ("all", "object store"),
        SERVER: ("all", "Prefect server"),
        **{workers.worker_name(role): (role, "worker") for role in stack.roles},
    }
    found = (_look(stack, name, *expected[name], records.get(name)) for name in expected)
    return StackStatus(stack, tuple(found))


def _look(stack: Stack, name: str, role: str, what: str, record: Record | None) -> ProcessStatus:
    if record is None:
        return ProcessStatus(name, role, what, "stopped", None, None, None, None)
    log = Path(record.log)
    process = record.process
    if process is None:
        return ProcessStatus(
            name, role, what, "died", record.pid, record.port, None, record.log, tuple(last_lines(log))
        )
    seconds = round(time.time() - process.create_time(), 1)  # both by the clock as it is now
    answering = _answers(stack, name)
    return ProcessStatus(
        name,
        role,
        what,
        "running" if answering else "not answering",
        record.pid,
        record.port,
        seconds,
        record.log,
        () if answering else tuple(last_lines(log)),
    )


def _answers(stack: Stack, name: str) -> bool:
    """Whether a server says that it is healthy; a worker has no port, and lives or does not."""
    if name == STORE:
        return seaweedfs.answers(stack.store)
    if name == SERVER:
        return prefect_server.answers(stack.server_port)
    return True
