"""A lock between processes, and between threads of one, by a file; the system takes it back from the dead."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.waiting import wait_for


@contextmanager
def locked_file(path: Path, timeout: float) -> Iterator[bool]:
    """Hold the lock of the file at `path`, which is made when it is missing, with mode 0600.

    Gives whether the lock was had within `timeout` seconds: the caller says what it means when not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "wb") as file:

        def taken() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield bool(wait_for(taken, timeout=timeout))
