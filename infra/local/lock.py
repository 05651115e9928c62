"""The stack's lock: one command at a time changes a stack."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedmodels.errors import StackError
from infra.locations import stack_folder
from infra.waiting import wait_for

LOCK_TIMEOUT_S = 180.0


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the stack's lock, which the system takes back from a process that dies.

    Raises:
        StackError: another command has held it for `LOCK_TIMEOUT_S`.
    """
    stack = stack_folder(home)
    stack.mkdir(parents=True, exist_ok=True)
    with (stack / "lock").open("w") as file:

        def taken() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not wait_for(taken, timeout=LOCK_TIMEOUT_S):
            raise StackError(
                f"Another command has been changing the stack for {LOCK_TIMEOUT_S:.0f} s",
                fix="wait for it, or stop it",
                code="stack-busy",
            )
        yield
