"""Progress in a terminal, and nowhere else: of a run, with what who leaves it is told; of reading bytes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from flows.cli.output import INTERRUPTED, explain_interruption, notes
from tasks.reading import RunView

STAGES = ("training at the parties", "aggregating and fine-tuning", "evaluating the candidate")


@contextmanager
def run_progress(title: str) -> Iterator[Callable[[RunView], None]]:
    """Show a bar on a terminal, which goes when it is over, and give the function that moves it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[words]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as progress:
        bar = progress.add_task(title, total=1.0, words="starting")

        def watch(state: RunView) -> None:
            rounds = state.plan.recipe.num_rounds if state.plan else 1
            done = float(state.passed) if state.closed is None else float(rounds)
            progress.update(bar, total=float(rounds), completed=done + _part(state), words=in_words(state))

        yield watch


@contextmanager
def goes_on_without(run: str) -> Iterator[None]:
    """Whoever stops watching `run` is told that it goes on, and what can be done; then the command ends."""
    sentence = (
        f"The run {run} goes on in the workers; watch it again with fedcart runs follow {run}, "
        f"or end it with fedcart runs cancel {run}."
    )
    with told_when_interrupted(sentence):
        yield


@contextmanager
def told_when_interrupted(sentence: str) -> Iterator[None]:
    """Whoever interrupts the command is told this, and the command ends."""
    try:
        yield
    except KeyboardInterrupt:
        explain_interruption(sentence, as_json="--json" in sys.argv)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def byte_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """As `run_progress`, of bytes: the function is told how many were read, and how many there are."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as progress:
        bar = progress.add_task(title, total=None)
        yield lambda read, total: progress.update(bar, completed=read, total=total)


def in_words(state: RunView) -> str:
    """`round 2 · training at the parties · 3/4 in`, or what stands instead of a round."""
    if state.closed is not None or not state.cohort:
        return state.stage
    arrived = f" · {len(state.submitted)}/{len(state.cohort)} in" if state.stage == STAGES[0] else ""
    return f"round {state.round} · {state.stage}{arrived}"


def _part(state: RunView) -> float:
    if state.closed is not None or state.stage not in STAGES:
        return 0.0
    if state.stage == STAGES[0]:
        return 0.7 * len(state.submitted) / max(1, len(state.cohort))
    return 0.7 if state.stage == STAGES[1] else 0.9
