"""What a command measures of the run that it follows."""

import time
from collections.abc import Callable

from tasks.reading import RunView


class StartUp:
    """Passes on where a run stands, and notes how long it took until its first round was announced.

    Args:
        watch: told where the run stands.
        began: when the clock began (`perf_counter`).
    """

    def __init__(self, watch: Callable[[RunView], object], began: float) -> None:
        self._watch = watch
        self._began = began
        self.seconds = 0.0
        """Until round 1, or 0 while none was seen; until the end of a run that was over in a moment."""

    def __call__(self, state: RunView) -> None:
        """See where the run stands."""
        if (state.cohort or state.closed) and not self.seconds:
            self.seconds = round(time.perf_counter() - self._began, 2)
        self._watch(state)
