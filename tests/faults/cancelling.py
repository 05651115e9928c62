"""A person who cancels a run with `fedcart runs cancel`, and does so again when the command died."""

import subprocess
import sys
from pathlib import Path

from infra.waiting import wait_for
from tests.end_to_end.federation import REPOSITORY
from tests.faults.stack import Range

END_TIMEOUT = 30.0


class Person:
    """Runs the command in a process of its own, with the harness in it and the coordinator's settings.

    Args:
        place: where the run is.
        run: its id.
        folder: of the run's orders; what the commands say goes there.
    """

    def __init__(self, place: Range, run: str, folder: Path) -> None:
        self._place, self._run, self._log = place, run, folder / "cancel.log"
        self._commands: list[subprocess.Popen[bytes]] = []

    def cancel(self) -> None:
        """Begin the command, beside one that hangs if there is one."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "flows.cli", "runs", "cancel", self._run]
            self._commands.append(
                subprocess.Popen(command, env=self._place.environment, cwd=REPOSITORY, stdout=log, stderr=log)
            )

    @property
    def gave_up(self) -> bool:
        """Whether every command that was begun has ended, and there was one."""
        return bool(self._commands) and self.is_idle

    @property
    def is_idle(self) -> bool:
        """Whether no command runs."""
        return all(command.poll() is not None for command in self._commands)

    def leave(self) -> None:
        """Let every command end; one that does not is killed."""
        wait_for(lambda: self.is_idle, timeout=END_TIMEOUT)
        for command in self._commands:
            if command.poll() is None:
                command.kill()
                command.wait()
