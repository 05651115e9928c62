"""Locks that a killed process left in a DVC repository, told from those of one that lives.

DVC's `tmp/lock` is the system's, which takes it back from the dead. Two kinds stay behind: entries of
`tmp/rwlock`, a list of process ids (which the system gives out again), and git's `*.lock` files.
"""

import json
from pathlib import Path
from typing import Any

import psutil

from fedmodels.errors import StackError
from infra.private_files import write_private
from infra.waiting import wait_for

_GIT_PATIENCE_S = 3.0
"""A git command holds such a lock for milliseconds."""


def versions_lock(workspace: Path) -> Path:
    """The lock of a party's versions, by the party's own folder."""
    return workspace / "versions" / ".state" / "lock"


def clear_stale_locks(root: Path) -> None:
    """Remove what the dead left; the caller holds both the party's own lock and DVC's.

    Raises:
        StackError: a process that lives has locked a table in DVC's list (`versions-busy`).
    """
    _clear_rwlock(root / ".dvc" / "tmp" / "rwlock")
    git = root / ".git"
    for place in [git / "index.lock", git / "HEAD.lock", git / "config.lock", *git.glob("refs/**/*.lock")]:
        wait_for(lambda place=place: not place.exists(), timeout=_GIT_PATIENCE_S)  # type: ignore[misc]
        place.unlink(missing_ok=True)


def _clear_rwlock(path: Path) -> None:
    try:
        written, listed = path.stat().st_mtime, json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except ValueError:  # its writer was killed in the middle
        path.unlink()
        return
    holders = list(_holders(listed))
    for pid in holders:
        if _lives_since(pid, written):
            raise busy(f"process {pid}, a dvc command,")
    if holders:
        write_private(path, b"{}")


def busy(who: str) -> StackError:
    """The error for a folder of versions that somebody else works in."""
    return StackError(
        f"The data versions of the party are in use: {who} holds their lock",
        fix="wait for it, or stop it, and try again",
        code="versions-busy",
    )


def _holders(listed: Any) -> "set[int]":
    """Every process id that stands in the list, wherever."""
    if isinstance(listed, dict):
        own = {listed["pid"]} if isinstance(listed.get("pid"), int) else set()
        return own.union(*(_holders(part) for part in listed.values()))
    return set().union(*map(_holders, listed)) if isinstance(listed, list) else set()


def _lives_since(pid: int, moment: float) -> bool:
    """Whether the process that had this id at that moment still lives; a later one of that id is another."""
    try:
        return bool(psutil.Process(pid).create_time() <= moment)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
