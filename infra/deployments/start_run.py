"""The command of every work pool: starts a flow run and stands for it until it ends.

It asks the nursery that `NURSERY_OF_FEDCART` names for a process that has all libraries imported already.
Without one, or when none answers, it becomes Prefect's engine itself, which takes longer and is the same.
Standard library only: it has to start in no time.
"""

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NURSERY = "NURSERY_OF_FEDCART"
"""Variable with the folder of the nursery's socket. Names that begin with FEDCART_ are settings."""
ENGINE = ("-P", "-m", "prefect.engine")
CALL_HEADER = struct.Struct("!I")
STANDARD_STREAMS = 3
_SOCKET = "nursery.sock"
_PASSED_ON = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Start the run that the environment names; returns its exit status."""
    folder = os.environ.pop(NURSERY, "")
    connection = _call(Path(folder)) if folder else None
    if connection is None:
        os.execv(sys.executable, [sys.executable, *ENGINE])  # noqa: S606 (our own interpreter)
    with connection:
        return _stand_for(connection)


def socket_file(folder: Path) -> Path:
    """The nursery's socket."""
    return folder / _SOCKET


@contextmanager
def at_folder(folder: Path) -> Iterator[str]:
    """Stand in the folder and use the socket's bare name: a folder's path may be too long for a socket."""
    before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        yield _SOCKET
    finally:
        os.fchdir(before)
        os.close(before)


def _call(folder: Path) -> socket.socket | None:
    """Ask for a child with this process's environment, folder and streams; `None` when nobody answers."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    call = json.dumps({"environment": dict(os.environ), "folder": str(Path.cwd())}).encode()
    try:
        with at_folder(folder) as name:
            connection.connect(name)
        socket.send_fds(connection, [CALL_HEADER.pack(len(call))], range(STANDARD_STREAMS))
        connection.sendall(call)
    except OSError:
        connection.close()
        return None
    return connection


def _stand_for(connection: socket.socket) -> int:
    """Pass signals on to the run, and end as it ends; with 1 when the nursery died."""
    for number in _PASSED_ON:
        signal.signal(number, lambda received, _frame: _pass_on(connection, received))
    said = b""
    with suppress(ConnectionResetError):  # the nursery died
        while not said.endswith(b"\n") and (part := connection.recv(64)):
            said += part
    status = int(said) if said.endswith(b"\n") else 1
    if status < 0:  # ended by a signal: so is this process, and the worker sees what happened
        if -status in _PASSED_ON:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _pass_on(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # the run has just ended
        connection.send(bytes([number]))


if __name__ == "__main__":
    sys.exit(main())
