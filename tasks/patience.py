"""Looks at the store that no task makes: what may pass is tried again, as a task would."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fedmodels.errors import TransientError
from infra.waiting import wait_for

P = ParamSpec("P")
R = TypeVar("R")
PATIENCE_S = 30.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 5.0


def patient(look: Callable[P, R]) -> Callable[P, R]:
    """Call `look` until the store answers, for `PATIENCE_S` seconds.

    A party waits most of its time between tasks. Without this a single answer that broke off would end its
    session there.

    Raises:
        TransientError: the last one, when the time is over.
    """

    @functools.wraps(look)
    def looking(*args: P.args, **kwargs: P.kwargs) -> R:
        last: TransientError | None = None

        def attempt() -> tuple[R] | None:
            nonlocal last
            try:
                return (look(*args, **kwargs),)
            except TransientError as error:
                last = error
                return None

        found = wait_for(attempt, timeout=PATIENCE_S, first_wait=FIRST_WAIT_S, longest_wait=LONGEST_WAIT_S)
        if found is None:
            assert last is not None
            raise last
        return found[0]

    return looking
