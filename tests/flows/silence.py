"""A progress bar that shows nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.reading import RunView


@contextmanager
def silent_watch(_title: str) -> Iterator[Callable[[RunView], None]]:
    """Takes the place of `flows.cli.progress.run_progress`."""
    yield lambda _state: None
