"""Who borrows the object store of a stack that is otherwise down, and which store was started for that.

A borrower holds the lock of a file of its own, which the system takes back from a process that dies: what
a crash left behind counts for nobody. Everything here is called under the stack's lock.
"""

import fcntl
from pathlib import Path
from typing import IO
from uuid import uuid4

from infra.local.processes import Record
from infra.private_files import read_json, write_json


def enter(stack: Path) -> IO[bytes]:
    """Be counted as a borrower until `leave` is given what is returned, or this process ends."""
    folder = _folder(stack)
    folder.mkdir(parents=True, exist_ok=True)
    slip = (folder / f"{uuid4().hex}.lock").open("xb")
    fcntl.flock(slip, fcntl.LOCK_EX)
    return slip


def leave(slip: IO[bytes]) -> None:
    """Be counted no more."""
    Path(slip.name).unlink(missing_ok=True)
    slip.close()


def any_left(stack: Path) -> bool:
    """Whether somebody borrows the store; files of who has gone are removed."""
    present = False
    for path in _folder(stack).glob("*.lock"):
        with path.open("rb") as slip:
            try:
                fcntl.flock(slip, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                present = True
            else:
                path.unlink()
    return present


def note_started(stack: Path, store: Record) -> None:
    """Write down that this store was started for borrowers: the last one stops it."""
    write_json(_note(stack), {"pid": store.pid, "created": store.created})


def was_started(stack: Path, store: Record) -> bool:
    """Whether it was this very store that was started for borrowers."""
    return read_json(_note(stack)) == {"pid": store.pid, "created": store.created}


def forget_started(stack: Path) -> None:
    """The store belongs to the stack from now on, or is no more."""
    _note(stack).unlink(missing_ok=True)


def _folder(stack: Path) -> Path:
    return stack / "borrowers"


def _note(stack: Path) -> Path:
    return _folder(stack) / "store.json"
