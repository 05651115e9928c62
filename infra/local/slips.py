"""Slips: who is here now. Each holds the lock of a file, which the system takes back from the dead.

Everything here is called under the stack's lock: nobody looks at a slip between its making and its lock.
"""

import fcntl
from pathlib import Path
from typing import IO
from uuid import uuid4


def take(folder: Path, words: str = "") -> IO[bytes]:
    """Be counted in `folder`, as `words`, until what is returned is given back, or this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    slip = (folder / f"{uuid4().hex}.lock").open("xb")
    fcntl.flock(slip, fcntl.LOCK_EX)
    slip.write(words.encode())
    slip.flush()
    return slip


def give_back(slip: IO[bytes]) -> None:
    """Be counted no more."""
    Path(slip.name).unlink(missing_ok=True)
    slip.close()


def held(folder: Path) -> list[str]:
    """The words of everybody who is counted; files of who has gone are removed."""
    found = []
    for path in sorted(folder.glob("*.lock")):
        with path.open("rb") as slip:
            try:
                fcntl.flock(slip, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(slip.read().decode(errors="replace"))
            else:
                path.unlink()
    return found
