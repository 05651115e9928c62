"""Who borrows the object store of a stack that is otherwise down, and which store was started for that.

A borrower holds a slip: what a crash left behind counts for nobody. Everything here is called under the
stack's lock.
"""

from pathlib import Path
from typing import IO

from infra.local import slips
from infra.local.processes import Record
from infra.private_files import read_json, write_json


def enter(stack: Path) -> IO[bytes]:
    """Be counted as a borrower until `leave` is given what is returned, or this process ends."""
    return slips.take(_folder(stack))


def leave(slip: IO[bytes]) -> None:
    """Be counted no more."""
    slips.give_back(slip)


def any_left(stack: Path) -> bool:
    """Whether somebody borrows the store; files of who has gone are removed."""
    return bool(slips.held(_folder(stack)))


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
