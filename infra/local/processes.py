"""Processes of the local stack: started detached, recorded at once, stopped by identity.

Two things identify a process of ours, and nothing else is ever stopped. Its record: id and birth, so that
an id which the system has given away again is not mistaken for it. And a marker in its environment,
`NAME@STACK'S FOLDER`, which its own children inherit: it finds what a crash left unrecorded.
"""

import os
import subprocess
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from infra.private_files import read_json, write_json

MARKER = "STACK_OF_FEDCART"
"""Variable in the environment of a stack's processes. Names that begin with FEDCART_ are settings."""

_FLOW_RUN = "PREFECT__FLOW_RUN_ID"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TICKS = 19
"""Place of `starttime` among what follows a process's name in `/proc/PID/stat` (proc(5): field 22)."""
_CLOCK_TOLERANCE_S = 2.0
_LOG_LIMIT_BYTES = 10 * 1024**2
_children: list[subprocess.Popen[bytes]] = []  # kept, so that none is dropped while it still runs


@dataclass(frozen=True)
class Record:
    """One process of the stack, as it was started.

    `created` is by the clock as it stood then, which may be set later; `born` no clock touches. It is empty
    where the system does not tell it, and in records of fedcart before it was written down.
    """

    name: str
    role: str
    what: str
    pid: int
    created: float
    port: int | None
    log: str
    born: str = ""

    @property
    def process(self) -> psutil.Process | None:
        """The very process, or `None` when it has ended."""
        try:
            process = psutil.Process(self.pid)
            return process if self._is_of(process) and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _is_of(self, process: psutil.Process) -> bool:
        born = birth(self.pid) if self.born else ""
        return born == self.born if born else abs(process.create_time() - self.created) < _CLOCK_TOLERANCE_S


def start(
    stack: Path,
    name: str,
    command: Sequence[str],
    *,
    role: str,
    what: str,
    log: Path,
    environment: Mapping[str, str],
    port: int | None = None,
    folder: Path | None = None,
) -> Record:
    """Start `command` in a session of its own, its output appended to `log`, and record it.

    Raises:
        OSError: the command cannot be executed.
    """
    with open_log(log) as output:
        child = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**environment, MARKER: f"{name}@{stack}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children.append(child)
    return write_record(stack, name, child.pid, role=role, what=what, log=log, port=port)


def birth(pid: int) -> str:
    """Which start of the machine a process belongs to, and how many ticks after it it was started.

    psutil's public time of creation adds the moment of the start, which moves whenever the clock is set.
    Empty where there is no Linux to ask, and when the process has ended.
    """
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return f"{boot} {facts.rpartition(')')[2].split()[_START_TICKS]}"


def exit_status(record: Record) -> int | None:
    """How a child of this very process ended; `None` when it runs, or is not its child."""
    return next((child.poll() for child in _children if child.pid == record.pid), None)


def write_record(
    stack: Path, name: str, pid: int, *, role: str, what: str, log: Path, port: int | None = None
) -> Record:
    """Write down a process that was just started."""
    record = Record(name, role, what, pid, psutil.Process(pid).create_time(), port, str(log), birth(pid))
    write_json(_record_file(stack, name), asdict(record))
    return record


def read_records(stack: Path) -> dict[str, Record]:
    """What was started and not stopped, by name; garbled records are left out, the marker finds those."""
    found = {}
    for path in sorted((stack / "processes").glob("*.json")):
        try:
            found[path.stem] = Record(**(read_json(path) or {}))
        except TypeError:
            continue
    return found


def forget(stack: Path, names: Iterable[str]) -> None:
    """Remove the records of processes that were stopped."""
    for name in names:
        _record_file(stack, name).unlink(missing_ok=True)


def marked(stack: Path, name: str | None = None) -> list[psutil.Process]:
    """All living processes that carry the stack's marker, or those of them started under `name`."""
    found = []
    for process in psutil.process_iter():
        try:
            under, _, folder = process.environ().get(MARKER, "").partition("@")
            mine = folder == str(stack) and name in (None, under) and process.pid != os.getpid()
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue  # ended meanwhile, or another user's
    return found


def of_flow_run(stack: Path, flow_run_id: str) -> int | None:
    """Id of the process that stands for a flow run of the stack; `None` when it has ended.

    It is the child of the worker; the run that was forked for it ends with it.
    """
    found = flow_runs(stack).get(flow_run_id)
    return found.pid if found else None


def flow_runs(stack: Path) -> dict[str, psutil.Process]:
    """The process that stands for each flow run of the stack, by the run's id."""
    found: dict[str, psutil.Process] = {}
    for process in marked(stack):
        with suppress(psutil.NoSuchProcess):
            if flow_run_id := process.environ().get(_FLOW_RUN):
                found.setdefault(flow_run_id, process)  # those that it started come after it
    return found


def ask_to_stop(processes: Iterable[psutil.Process]) -> None:
    """Send SIGTERM and do not wait."""
    _signal(processes, "terminate")


def stop(processes: Iterable[psutil.Process], *, grace: float, asked: bool = False) -> None:
    """End `processes`: SIGTERM, and SIGKILL for those that are there after `grace` seconds.

    Args:
        processes: what is to end.
        grace: seconds between the two signals.
        asked: SIGTERM was sent before.
    """
    waiting = list(processes)
    if not asked:
        ask_to_stop(waiting)
    _, stubborn = psutil.wait_procs(waiting, timeout=grace)
    _signal(stubborn, "kill")
    psutil.wait_procs(stubborn, timeout=5.0)
    for child in _children:
        child.poll()


def open_log(log: Path) -> IO[bytes]:
    """Open `log` for appending; one that has grown too long is put aside as `NAME.1` first."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    return log.open("ab")


def last_lines(log: Path, count: int = 10) -> list[str]:
    """The last `count` lines of a log that are not blank; none when there is no log."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return list(deque((line.rstrip() for line in file if line.strip()), maxlen=count))
    except OSError:
        return []


def _signal(processes: Iterable[psutil.Process], verb: str) -> None:
    for process in processes:
        try:
            getattr(process, verb)()
        except psutil.NoSuchProcess:
            continue


def _record_file(stack: Path, name: str) -> Path:
    return stack / "processes" / f"{name}.json"
