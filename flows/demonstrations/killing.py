"""Killing a run's coordinator in the middle of a round, for all to see, and resuming the run.

What `fedcart demo --kill-coordinator` shows: the same two moves that a person would make by hand, `kill -9`
and `fedcart train --resume RUN`, with a stopwatch.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fedmodels.errors import PrefectAway, RunError, StackError
from flows.following import Request, Watch, begin, follow, look_until
from infra.deployments.starting import first_task_since
from infra.local.plan import read_stack
from infra.local.processes import of_flow_run
from infra.locations import stack_folder
from tasks.reading import RunView

Say = Callable[[str], None]
KILL_IN_ROUND = 2
LOOK_SECONDS = 0.2
"""Short: a small model's rounds take less than a second."""
OPENING_TASKS = ("race_store", "start_session", "resume_run", "load_workbench", "await_sessions")
"""Tasks with which a coordinator finds its feet; the one after them belongs to the step that was open."""


@dataclass(frozen=True)
class Killed:
    """What was killed, and how soon the run went on.

    Args:
        round: the round that was open.
        pid: the process that was sent SIGKILL.
        seconds_to_resume: from the kill to the resume command.
        seconds_to_first_task: from the resume command to the first task of the step that was open; `None`
            when Prefect could not say.
    """

    round: int
    pid: int
    seconds_to_resume: float
    seconds_to_first_task: float | None


def train_through_a_kill(home: Path, request: Request, say: Say, watch: Watch) -> dict[str, Any]:
    """Begin a run, kill its coordinator in round 2, resume it, and follow it to its end.

    A recipe of one round has its coordinator killed in that one.

    Returns:
        The run's summary, with a document of `Killed` under `killed`.

    Raises:
        RunError: the run ended before its coordinator could be killed, or failed.
    """
    number = min(KILL_IN_ROUND, request.recipe.num_rounds)
    flow_run_id = begin(request, home)
    found = look_until(
        home, request.run, flow_run_id, watch, lambda state: _is_there(state, number), every=LOOK_SECONDS
    )
    if isinstance(found, str) or found.closed is not None:
        return follow(home, request.run, flow_run_id, watch)
    pid = kill_flow_run(home, flow_run_id)
    killed_at = time.time()
    say(f"round {found.round}: the coordinator is killed (process {pid}, SIGKILL)")
    resumed_at = time.time()
    say(f"fedcart train --resume {request.run}")
    resumed = begin(replace(request, resume=True), home)
    summary = follow(home, request.run, resumed, watch)
    killed = Killed(
        found.round,
        pid,
        round(resumed_at - killed_at, 2),
        _seconds_to_first_task(home, resumed, resumed_at),
    )
    return summary | {"killed": asdict(killed)}


def kill_flow_run(home: Path, flow_run_id: str) -> int:
    """SIGKILL the process of one flow run of the stack; return its id.

    Raises:
        RunError: no process of this stack belongs to the flow run any more.
    """
    found = of_flow_run(stack_folder(home.resolve()), flow_run_id)
    if found is None:
        raise RunError(
            f"The flow run {flow_run_id} has no process that could be killed",
            fix="choose a recipe that trains for longer",
            code="nothing-to-kill",
        )
    os.kill(found, signal.SIGKILL)
    return found


def _is_there(state: RunView, number: int) -> bool:
    return state.closed is not None or (state.round >= number and bool(state.cohort))


def _seconds_to_first_task(home: Path, flow_run_id: str, since: float) -> float | None:
    stack = read_stack(home)
    try:
        began = first_task_since(flow_run_id, OPENING_TASKS, api_url=stack.api_url if stack else None)
    except (PrefectAway, StackError):
        return None
    return round(began - since, 2) if began else None
