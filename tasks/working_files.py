"""What a role keeps on its own disk to work with, and when it goes: files of runs, and of its cache.

Everything here is a copy of what the bucket holds, or is computed again from it and from the role's tables:

    runs/RUN/process-*     models and the open round's files of one process: when the run is closed
    cache/architectures    the model without weights, by hash: when no process has begun with it for long
    cache/tokens           encoded texts, by content: when nobody has read them for long
    cache/logits           what models said of the coordinator's sets, by content: as well
    forget-*               tables of old versions, in which withdrawn rows were looked for: when nobody looks

A process that leaves a closed run removes its own files, and what dead processes left of any run that is
closed. Whatever is left after that, the role's sweep removes. Nothing is taken from a process that lives.
"""

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedmodels.errors import FedcartError
from infra.file_lock import locked_file
from infra.layout import closed_key, plan_key
from infra.object_store import ObjectStore
from infra.versioning.locks import versions_lock
from tasks.round_folder import WithOwnFolder, left_folders, remove_left_folders

CACHES = ("architectures", "tokens", "logits")
LOOKED_THROUGH = "forget-"
"""Begins the name of a folder of brought back tables, in which rows to withdraw are looked for.

Whoever makes and uses one holds the lock of the party's versions.
"""


@dataclass(frozen=True)
class Leftover:
    """One thing on a role's disk that may go. `size` in bytes; `age` in seconds, since its last use.

    `name` is relative to the role's folder.
    """

    role: str
    name: str
    size: int
    age: float
    why: Literal["its run is over", "no such run", "not used", "its run is pruned", "left by a withdrawal"]


def runs_of(workspace: Path) -> Path:
    """Where a role's processes work, a folder for each run."""
    return workspace / "runs"


def leave_closed_run(store: ObjectStore, workspace: Path, process: WithOwnFolder) -> None:
    """Remove this process's files, since its run is closed, and what the dead left of all closed runs.

    A store that does not answer now is asked again by whoever leaves next, and by the sweep.
    """
    process.let_go()
    with suppress(FedcartError, OSError):  # what is tidied up costs no run that went well
        remove_left_folders(process.folder)
        for run_folder in runs_of(workspace).glob("*"):
            if left_folders(run_folder) and _is_closed(store, run_folder.name):
                remove_left_folders(run_folder)


def find_leftovers(store: ObjectStore, role: str, workspace: Path, older_than: float) -> list[Leftover]:
    """What of the role's own disk a sweep would remove now; removes nothing.

    Args:
        store: the bucket with the role's own credentials.
        role: whose folder it is.
        workspace: the role's folder.
        older_than: seconds since the last use, for what belongs to no run that is closed.

    Raises:
        TransientError: the store does not answer.
    """
    return [leftover for _, leftover in _find(store, role, workspace, older_than)]


def sweep_leftovers(store: ObjectStore, role: str, workspace: Path, older_than: float) -> list[Leftover]:
    """Remove what `find_leftovers` finds; return what went."""
    gone = []
    for path, leftover in _find(store, role, workspace, older_than):
        if path.parent == runs_of(workspace):
            remove_left_folders(path)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        gone.append(leftover)
    return gone


def _find(
    store: ObjectStore, role: str, workspace: Path, older_than: float
) -> Iterator[tuple[Path, Leftover]]:
    for run_folder in sorted(runs_of(workspace).glob("*")):
        if not (left := left_folders(run_folder)):
            continue
        size, age = sum(map(size_of, left)), min(map(age_of, left))
        name = run_folder.relative_to(workspace).as_posix()
        if _is_closed(store, run_folder.name):
            yield run_folder, Leftover(role, name, size, age, "its run is over")
        elif age >= older_than and not store.exists(plan_key(run_folder.name)):
            yield run_folder, Leftover(role, name, size, age, "no such run")
    for kind in CACHES:
        for path in sorted((workspace / "cache" / kind).glob("*")):
            if (age := age_of(path)) >= older_than:
                name = path.relative_to(workspace).as_posix()
                yield path, Leftover(role, name, size_of(path), age, "not used")
    yield from _looked_through(role, workspace)


def _looked_through(role: str, workspace: Path) -> Iterator[tuple[Path, Leftover]]:
    """Tables that a killed process had brought back, of any age; nobody brings some back meanwhile."""
    if not any(workspace.glob(f"{LOOKED_THROUGH}*")):
        return
    with locked_file(versions_lock(workspace), 0.0) as held:
        for path in sorted(workspace.glob(f"{LOOKED_THROUGH}*")) if held else ():
            yield path, Leftover(role, path.name, size_of(path), age_of(path), "left by a withdrawal")


def _is_closed(store: ObjectStore, run: str) -> bool:
    return store.exists(closed_key(run))


def _stats(path: Path) -> list[os.stat_result]:
    """Of it and all in it; of what another process removes or renames at this moment, none."""
    found = []
    with suppress(OSError):
        for each in (path, *path.rglob("*")):
            with suppress(OSError):
                found.append(each.stat())
    return found


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(each.st_size for each in _stats(path) if stat.S_ISREG(each.st_mode))


def age_of(path: Path) -> float:
    """Seconds since the last change to it or anything in it, by the clock that wrote the times.

    What is gone has just been used.
    """
    return time.time() - max((each.st_mtime for each in _stats(path)), default=time.time())
