"""A process that has everything imported and forks a flow run whenever its worker starts one.

A flow run in a fresh interpreter imports Prefect, torch, transformers and Great Expectations first: nine
seconds of processor time, for each party, at every start and restart. A fork of a process that did so once
starts in a tenth of a second and shares those pages.

Every worker has a nursery of its own, so that no role is born from another's process. It is asked through a
socket in a folder that its owner alone may enter, by `infra/deployments/start_run.py`, which is the command
that the worker runs. That command stands for the flow run: a signal to it is passed on, it ends as the run
ends, and when it is killed, so is the run.

One thread, no event loop: a fork keeps only the thread that calls it.
"""

import ctypes
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from infra.deployments.start_run import CALL_HEADER, STANDARD_STREAMS, at_folder, socket_file

_CALL_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1
"""Of `prctl(2)`, on Linux."""


@dataclass(frozen=True)
class Birth:
    """What a child is to become: its environment, its working folder and its standard streams."""

    environment: dict[str, str]
    folder: str
    streams: tuple[int, ...]

    def without_output(self) -> "Birth":
        """The same, to write where this process writes; closes the streams for that."""
        for stream in self.streams[1:]:
            os.close(stream)
        return replace(self, streams=self.streams[:1])

    def close(self) -> None:
        """Close this process's copies of the streams."""
        for stream in self.streams:
            os.close(stream)


class Nursery:
    """The loop of one nursery.

    Args:
        folder: a private folder for the socket.
        worker: read end of a pipe whose other end the worker holds: when it closes, nobody asks any more.
    """

    def __init__(self, folder: Path, worker: int) -> None:
        self._folder = folder
        self._worker = worker
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, socket.socket] = {}
        self._open = True

    def serve(self) -> Birth | None:
        """Fork until the worker is gone and the last child has ended.

        Returns:
            In each child, what it is to become; in the nursery itself, `None` at its end.
        """
        with ExitStack() as stack:
            listening = stack.enter_context(_listen(self._folder))
            woken, wake = socket.socketpair()
            stack.callback(woken.close)
            stack.callback(wake.close)
            wake.setblocking(False)
            woken.setblocking(False)
            signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
            signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
            self._watch(listening, lambda: self._deliver(listening))
            self._watch(woken, lambda: self._reap(woken))
            self._watch(self._worker, lambda: self._worker_gone(listening))
            while self._open or self._children:
                for key, _ in self._selector.select():
                    act: Callable[[], Birth | None] = key.data
                    if birth := act():
                        return birth
        return None

    def _watch(self, thing: socket.socket | int, act: Callable[[], Birth | None]) -> None:
        self._selector.register(thing, selectors.EVENT_READ, act)

    def _deliver(self, listening: socket.socket) -> Birth | None:
        """Fork one child for one call; a call that breaks off is dropped, and its caller helps itself."""
        try:
            connection, _ = listening.accept()
        except OSError:
            return None
        try:
            birth = _receive(connection)
        except (OSError, ValueError):
            connection.close()
            return None
        try:
            pid = os.fork()
        except OSError:  # no process to be had: the caller ends with 1, and its run counts as crashed
            birth.close()
            connection.close()
            return None
        if pid == 0:
            self._forget_everything()
            connection.close()
            return birth
        birth.close()
        self._children[pid] = connection
        self._watch(connection, lambda: self._pass_on(pid))
        return None

    def _pass_on(self, pid: int) -> None:
        """Send the child the signals that its caller got; end it when the caller is gone."""
        connection = self._children.get(pid)
        if connection is None:  # it was reaped in this very look
            return
        try:
            signals = connection.recv(16)
        except OSError:
            signals = b""
        for number in signals or bytes([signal.SIGKILL]):
            os.kill(pid, number)
        if not signals:
            self._selector.unregister(connection)

    def _reap(self, woken: socket.socket) -> None:
        """Tell the callers of children that have ended how they did."""
        woken.recv(4096)
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            connection = self._children.pop(pid)
            if connection in self._selector.get_map():
                self._selector.unregister(connection)
            with suppress(OSError):  # the caller is gone, and nobody else asks
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            connection.close()

    def _worker_gone(self, listening: socket.socket) -> None:
        """Take no more calls, and go on until the last child has ended."""
        self._selector.unregister(self._worker)
        self._selector.unregister(listening)
        listening.close()
        os.close(self._worker)
        self._open = False

    def _forget_everything(self) -> None:
        """In a child: leave the nursery's descriptors and signals behind, and die when it does.

        A run that outlived its nursery would train on while its caller says that it crashed.
        """
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for connection in self._children.values():
            connection.close()
        if self._open:
            os.close(self._worker)


def become(birth: Birth) -> None:
    """Turn this fresh child into the flow run: what `python -P -m prefect.engine` would have been.

    Raises:
        SystemExit: as the engine ends.
    """
    for number, stream in enumerate(birth.streams):
        os.dup2(stream, number)
    birth.close()
    os.chdir(birth.folder)
    os.environ.clear()
    os.environ.update(birth.environment)
    sys.argv = ["prefect.engine"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the engine is imported already, and meant to be
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


def _listen(folder: Path) -> socket.socket:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket_file(folder).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with at_folder(folder) as name:
        listening.bind(name)
        Path(name).chmod(0o600)
    listening.listen()
    return listening


def _receive(connection: socket.socket) -> Birth:
    """Read one call: a length, the three standard streams, then a JSON object of that length."""
    connection.settimeout(_CALL_TIMEOUT_S)
    header, streams, _, _ = socket.recv_fds(connection, CALL_HEADER.size, STANDARD_STREAMS)
    try:
        _first, _second, _third = streams
        (left,) = CALL_HEADER.unpack(header)
        parts = []
        while left and (part := connection.recv(left)):
            parts.append(part)
            left -= len(part)
        call = json.loads(b"".join(parts))
        connection.settimeout(None)
        return Birth(call["environment"], call["folder"], tuple(streams))
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        for stream in streams:
            os.close(stream)
        raise ValueError("a call that broke off") from None
