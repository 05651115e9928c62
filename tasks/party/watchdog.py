"""The last limit of a party's step: past it the kernel ends the process, whatever the process is doing."""

import functools
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar, cast

from fedmodels.recipe import Recipe
from tasks.party.session import PartySession

P = ParamSpec("P")
R = TypeVar("R")
Step = Callable[Concatenate[PartySession, P], R]

MARGIN_S = 10.0
"""How long a step that asks by itself whether its time is over may take to do so."""
_AT_ONCE_S = 1e-3
"""An alarm of no seconds would be none."""


@contextmanager
def ended_by_kernel(limit: float) -> Iterator[None]:
    """End this process when the block takes `limit` seconds and `MARGIN_S` more.

    A call that hangs in C, on a dead disk or in a driver, can be neither interrupted nor left alone: no
    exception reaches it, and no thread runs beside one that keeps the interpreter's lock. So nothing in the
    process is asked. The alarm is set with the kernel, whose default action at SIGALRM is to end the
    process; its worker sees that, and the coordinator starts the session again.

    A process has one such alarm. Inside another block the nearer of both ends it, and what is left of the
    outer one's time goes on afterwards. Whatever may rightly wait stands outside: for a GPU, or for others.
    """
    begun, outer = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)[0]
    own = limit + MARGIN_S
    signal.setitimer(signal.ITIMER_REAL, min(own, outer) if outer else own)
    try:
        yield
    finally:
        left = max(outer - (time.monotonic() - begun), _AT_ONCE_S) if outer else 0.0
        signal.setitimer(signal.ITIMER_REAL, left)


def ended_after(limit: Callable[[Recipe], float]) -> Callable[[Step[P, R]], Step[P, R]]:
    """`ended_by_kernel`, for a whole step of a session that has joined.

    Args:
        limit: seconds that the run's recipe gives the step.
    """

    def wrap(step: Step[P, R]) -> Step[P, R]:
        @functools.wraps(step)
        def ended_step(session: PartySession, *args: P.args, **kwargs: P.kwargs) -> R:
            with ended_by_kernel(limit(session.joined_plan.recipe)):
                return step(session, *args, **kwargs)

        return cast("Step[P, R]", ended_step)

    return wrap
