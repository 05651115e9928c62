"""Where a process keeps the files of its run: models, and what the round that it is in makes.

All of it is a copy of what the bucket holds, or made again from that. Once the run is closed nothing of it is
needed any more (`tasks/working_files.py`).

Two processes may have one run on one machine: a session and the one that was started in its place, or a
coordinator that wakes up after another one resumed its run. Each has a folder of its own.
"""

import fcntl
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from infra.fault_points import fault_effect
from infra.file_lock import locked_file

PREFIX = "process-"
_LOCK = "lock"
_LOCK_TIMEOUT_S = 30.0


class OwnFolder:
    """A process's folder below its run's, which is its own as long as it lives.

    It is made when it is first asked for. What processes left that have ended is then removed, but for the
    models, which are moved here: whoever uses one holds it against its hash first.
    """

    def __init__(self, run_folder: Path) -> None:
        self._run_folder = run_folder
        self._path = run_folder / f"{PREFIX}{uuid4().hex}"
        self._making = threading.Lock()
        self._held: IO[bytes] | None = None

    @property
    def path(self) -> Path:
        """The folder, which is there."""
        with self._making:
            if self._held is None:
                # Nobody looks at a folder between its making and its lock. Who waited in vain for a process
                # that hangs there goes on: there is nothing to be seen in that moment but by accident.
                with locked_file(self._run_folder / _LOCK, _LOCK_TIMEOUT_S):
                    self.models_in(self._path).mkdir(parents=True, exist_ok=True)
                    self._held = (self._path / _LOCK).open("wb")
                    fcntl.flock(self._held, fcntl.LOCK_EX)
                    self._inherit()
        return self._path

    @property
    def models(self) -> Path:
        """Where it keeps global models, by their hashes."""
        return self.models_in(self.path)

    @staticmethod
    def models_in(folder: Path) -> Path:
        """Where models lie in a process's folder."""
        return folder / "models"

    def let_go(self) -> None:
        """Be done with the folder: from now on it is one of a process that has ended."""
        with self._making:
            if self._held is not None:
                self._held.close()
                self._held = None

    def _inherit(self) -> None:
        """Take the models of processes that have ended, and remove the rest of theirs."""
        for left in left_folders(self._run_folder):
            if left == self._path:
                continue
            for model in self.models_in(left).glob("*.safetensors"):
                with suppress(OSError):
                    model.rename(self.models_in(self._path) / model.name)
            shutil.rmtree(left, ignore_errors=True)


class WithOwnFolder:
    """What works in a run with files of its own, below the run's folder that all of the run share."""

    def __init__(self, run_folder: Path) -> None:
        self.folder = run_folder
        self._own = OwnFolder(run_folder)

    @property
    def own_folder(self) -> Path:
        """Of this process alone."""
        return self._own.path

    @property
    def models(self) -> Path:
        """Local copies of the global models that are needed now."""
        return self._own.models

    def let_go(self) -> None:
        """Be done with the run: what lies in this process's folder may be removed."""
        self._own.let_go()

    def round_folder(self, round_number: int) -> Path:
        """Where this round's intermediate files lie; the folders of earlier rounds are removed."""
        return open_round_folder(self.own_folder, round_number)


@fault_effect
def open_round_folder(own_folder: Path, round_number: int) -> Path:
    """Where this round's intermediate files lie; the folders of earlier rounds are removed."""
    folder = own_folder / f"{round_number:04d}"
    if not folder.exists():
        for old in own_folder.glob("[0-9][0-9][0-9][0-9]"):
            shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def left_folders(run_folder: Path) -> list[Path]:
    """The folders of processes of the run that have ended."""
    return [folder for folder in sorted(run_folder.glob(f"{PREFIX}*")) if not _lives(folder)]


def remove_left_folders(run_folder: Path) -> list[Path]:
    """Remove what processes of the run left that have ended, its models too; return the folders that went.

    Of a run that is over the run's folder goes as well, unless a process still works in it or something else
    lies there, like a party's `errors.log`.
    """
    with locked_file(run_folder / _LOCK, _LOCK_TIMEOUT_S):
        left = left_folders(run_folder)
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        if not any(run_folder.glob(f"{PREFIX}*")):
            (run_folder / _LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # it is not empty
                run_folder.rmdir()
    return left


def _lives(folder: Path) -> bool:
    """Whether the process whose folder this is still holds its lock."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it was killed before it had made one
        return False
    return False
