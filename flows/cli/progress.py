"""A run's progress in the terminal: rounds as a bar, the open round in words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from flows.cli.output import notes
from tasks.reading import RunState

STAGES = ("training at the parties", "aggregating and fine-tuning", "evaluating the candidate")


@contextmanager
def run_progress(title: str) -> Iterator[Callable[[RunState], None]]:
    """Show a bar on standard error and give the function that moves it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=notes) as progress:
        bar = progress.add_task(title, total=1.0, words="starting")

        def watch(state: RunState) -> None:
            rounds = state.plan.recipe.num_rounds if state.plan else 1
            done = float(state.passed) if state.closed is None else float(rounds)
            progress.update(bar, total=float(rounds), completed=done + _part(state), words=in_words(state))

        yield watch


def in_words(state: RunState) -> str:
    """`round 2 · training at the parties · 3/4 in`, or what stands instead of a round."""
    if state.closed is not None or not state.cohort:
        return state.stage
    arrived = f" · {len(state.submitted)}/{len(state.cohort)} in" if state.stage == STAGES[0] else ""
    return f"round {state.round} · {state.stage}{arrived}"


def _part(state: RunState) -> float:
    if state.closed is not None or state.stage not in STAGES:
        return 0.0
    if state.stage == STAGES[0]:
        return 0.7 * len(state.submitted) / max(1, len(state.cohort))
    return 0.7 if state.stage == STAGES[1] else 0.9
