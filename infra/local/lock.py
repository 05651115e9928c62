"""The stack's lock: one command at a time changes a stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedmodels.errors import StackError
from infra.file_lock import locked_file
from infra.locations import stack_folder

LOCK_TIMEOUT_S = 180.0


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the stack's lock, which the system takes back from a process that dies.

    Raises:
        StackError: another command has held it for `LOCK_TIMEOUT_S`.
    """
    with locked_file(stack_folder(home) / "lock", LOCK_TIMEOUT_S) as held:
        if not held:
            raise StackError(
                f"Another command has been changing the stack for {LOCK_TIMEOUT_S:.0f} s",
                fix="wait for it, or stop it",
                code="stack-busy",
            )
        yield
