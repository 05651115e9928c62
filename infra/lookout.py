"""Looks at the store that nobody waits for: whoever computes must not stand still meanwhile."""

import time
from collections.abc import Callable
from contextvars import copy_context
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

from fedmodels.errors import FedcartError
from infra.waiting import patient

Found = TypeVar("Found")
LOOK_TIMEOUT_S = 3.0
"""Seconds of silence after which a look is given up: the next one tells."""


class Lookout(Generic[Found]):
    """A question that is put in a thread of its own, one at a time, and whose last answer is read at once.

    Safe to share between threads. The first look is due `every` seconds after this was made. The thread is
    given the context of who asks, and does not keep the process from ending.

    Args:
        every: seconds from the beginning of one look to the next one; one that takes longer is let end.
    """

    def __init__(self, every: float) -> None:
        self.every = every
        self._lock = Lock()
        self._due = time.monotonic() + every
        self._idle = Event()
        self._idle.set()
        self._found: Found | None = None
        self._error: FedcartError | None = None

    def ask(self, look: Callable[[], Found | None], *, patience: float = 0.0) -> Found | None:
        """What was found last, or `None`; what was found once stays. Begins a look when one is due.

        Args:
            look: the question, with `None` for "nothing yet". A store that does not answer says that too.
            patience: seconds to wait for a look that is due or under way.

        Raises:
            FedcartError: that of the last look, other than that the store does not answer.
        """
        with self._lock:
            if self._found is None and self._idle.is_set() and time.monotonic() >= self._due:
                self._due = time.monotonic() + self.every
                self._idle.clear()
                Thread(
                    target=copy_context().run, args=(self._look, patient(look)), name="lookout", daemon=True
                ).start()
        if patience:
            self._idle.wait(patience)
        with self._lock:
            if self._error is not None:
                raise self._error
            return self._found

    def _look(self, look: Callable[[], Found | None]) -> None:
        found: Found | None = None
        error: FedcartError | None = None
        try:
            found = look()
        except FedcartError as raised:
            error = raised
        finally:
            with self._lock:
                self._found, self._error = found, error
                self._idle.set()
