"""The last limit of a party's step: past it the kernel ends the process, whatever the process is doing."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

MARGIN_S = 10.0
"""How long a step that asks by itself whether its time is over may take to do so."""


@contextmanager
def ended_by_kernel(limit: float) -> Iterator[None]:
    """End this process when the block takes `limit` seconds and `MARGIN_S` more.

    A call that hangs in C, on a dead disk or in a driver, can be neither interrupted nor left alone: no
    exception reaches it, and no thread runs beside one that keeps the interpreter's lock. So nothing in the
    process is asked. The alarm is set with the kernel, whose default action at SIGALRM is to end the
    process; its worker sees that, and the coordinator starts the session again.
    """
    signal.setitimer(signal.ITIMER_REAL, limit + MARGIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
