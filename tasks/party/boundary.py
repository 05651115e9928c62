"""The border of a party: what goes wrong inside leaves as a code and a sentence, and nothing else.

Prefect stores exception text and tracebacks in its database, which at a shared server is not the
party's. A library's message may quote a row or a path, so it is written to the party's own log file only.
"""

import functools
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

from fedmodels.errors import FedcartError, TrainingFailed
from fedmodels.full_disk import is_disk_full
from infra.fault_points import fault_step


class Inside(Protocol):
    """What works inside a party: a session, or the desk of a drift check."""

    party: str
    folder: Path
    """The party's own, for the log of what went wrong."""


class Measured(Inside, Protocol):
    """What works inside a party and tells how long its steps took."""

    seconds: dict[str, float]
    """By step."""


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Inside)
M = TypeVar("M", bound=Measured)


Step = Callable[Concatenate[S, P], R]


def sealed(step: str) -> Callable[[Step[M, P, R]], Step[M, P, R]]:
    """`bordered`, for a step of a session: its seconds go into the receipt.

    Args:
        step: name of the step in the receipt's `seconds`, and in the code of an unforeseen error.
    """

    def wrap(function: Step[M, P, R]) -> Step[M, P, R]:
        inside = bordered(step)(function)

        @functools.wraps(function)
        def sealed_step(session: M, *args: P.args, **kwargs: P.kwargs) -> R:
            begin = time.perf_counter()
            try:
                return inside(session, *args, **kwargs)
            finally:
                session.seconds[step] = session.seconds.get(step, 0.0) + time.perf_counter() - begin

        return cast("Step[M, P, R]", sealed_step)

    return wrap


def bordered(step: str) -> Callable[[Step[S, P, R]], Step[S, P, R]]:
    """Map whatever a step of a party raises to the error tree.

    Args:
        step: its name in the code of an unforeseen error.
    """

    def wrap(function: Step[S, P, R]) -> Step[S, P, R]:
        function = fault_step(function)

        @functools.wraps(function)
        def bordered_step(inside: S, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(inside, *args, **kwargs)
            except FedcartError as error:
                raise error from None
            except OSError as error:
                raise _without_path(inside, step, error) from None
            except Exception as error:  # noqa: BLE001 (the border: see the module's docstring)
                raise _unforeseen(inside, step, error) from None

        return cast("Step[S, P, R]", bordered_step)

    return wrap


@contextmanager
def sealed_opening() -> Iterator[None]:
    """As `sealed`, for what is done before there is a session: its details go to the worker's own log.

    Raises:
        TrainingFailed: an unforeseen error was met (`session-failed`).
    """
    try:
        yield
    except FedcartError as error:
        raise error from None
    except Exception as error:  # noqa: BLE001 (the border: see the module's docstring)
        traceback.print_exception(error)
        raise TrainingFailed(
            f"The party's session could not be opened ({type(error).__name__})",
            fix="see the log of the party's own worker",
            code="session-failed",
        ) from None


def _without_path(session: Inside, step: str, error: OSError) -> TrainingFailed:
    """A full disk by its name, since whoever runs the party can help it; anything else as unforeseen."""
    if not is_disk_full(error):
        return _unforeseen(session, step, error)
    return TrainingFailed(
        f"The disk of party {session.party} is full (step {step})", fix="free some space", code="disk-full"
    )


def _unforeseen(session: Inside, step: str, error: Exception) -> TrainingFailed:
    with suppress(OSError):  # a log that cannot be written must not put its path into the error
        session.folder.mkdir(parents=True, exist_ok=True)
        with (session.folder / "errors.log").open("a", encoding="utf-8") as log:
            log.write(f"step {step}\n{''.join(traceback.format_exception(error))}\n")
    return TrainingFailed(
        f"The step {step} of party {session.party} failed with {type(error).__name__}",
        fix="see errors.log in the party's own folder",
        code=f"{step}-failed",
    )
