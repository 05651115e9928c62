"""The command line as `fedcart` runs it, but in the test's own process: seconds of imports are paid once.

What only a process of its own can show needs one: a warning, say, that a library prints while it is imported.
"""

import signal
import sys
from dataclasses import dataclass

import pytest

from flows.cli.main import main


@dataclass(frozen=True)
class Called:
    """How a command ended and what it printed; named as of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def call_main(
    patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], **environment: str
) -> Called:
    """Run `fedcart WORDS` with more variables in the environment."""
    capsys.readouterr()
    terminated = signal.getsignal(signal.SIGTERM)
    with patch.context() as patched:
        patched.setattr(sys, "argv", ["fedcart", *words])
        for name, value in environment.items():
            patched.setenv(name, value)
        try:
            main()
            status = 0
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        finally:
            signal.signal(signal.SIGTERM, terminated)
    printed = capsys.readouterr()
    return Called(status, printed.out, printed.err)
