"""Whether what a process that was hit says of itself is so, looked at while it stands at its point."""

import time
from pathlib import Path
from typing import Any

import psutil

from infra.local.processes import MARKER
from infra.locations import stack_folder
from infra.object_store import ObjectStore
from tests.faults.points import CLOCKS, WRITES

CLOCK_SLACK = 60.0
"""Seconds between a process's look at its clock and ours at ours, at most."""


def is_proved(marker: dict[str, Any], store: ObjectStore, home: Path) -> bool:
    """A write's very content is there `after` it, and not yet `before` it.

    Where nothing is written, all that can be seen is that the process stands there, and what time it believes
    that it is.

    Args:
        marker: what the process wrote.
        store: the bucket, with credentials that read all of it.
        home: of the stack.
    """
    if not _stands(marker["pid"], stack_folder(home.resolve())):
        return False
    if abs(marker["clock"] - time.time() - CLOCKS.get(marker["when"], 0.0)) > CLOCK_SLACK:
        return False
    verb: str = marker["effect"].split(" ")[0]
    key: str | None = marker.get("key")
    if key is None or verb not in WRITES:
        return True
    if verb == "delete":
        return store.exists(key) is (marker["when"] == "before")
    shown = store.holds(key, marker["sha256"])
    if marker["when"] == "after":
        return shown
    if marker["step"] == "publish":  # which puts a model that is used again once more
        return True
    # Who resumes creates what stands already, and so does a session that is started again with its lease.
    may_stand = verb != "create" or marker["follows"] is not None or key.endswith("session.json")
    return not shown and (may_stand or not store.exists(key))


def lives(pid: int) -> bool:
    """Whether the process runs, and is not one that has ended and was not asked for its status."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _stands(pid: int, stack: Path) -> bool:
    """Whether the process lives and is one of the stack's, or a person's command to it."""
    try:
        marker = psutil.Process(pid).environ().get(MARKER, "")
    except psutil.Error:
        return False
    return lives(pid) and marker.endswith(f"@{stack}")
