"""Run, party and round as tags of every task run, without asking the server for each of them.

Tags that are set around a task make Prefect look up a concurrency limit for each tag, with a blocking
request, whenever the task starts: a server that is slow or gone would hold up a round.
"""

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

import httpx
from prefect import runtime
from prefect.context import TaskRunContext

from infra.deployments.starting import lasting_client
from infra.fault_points import fault_step

P = ParamSpec("P")
R = TypeVar("R")


def tagged(function: Callable[P, R]) -> Callable[P, R]:
    """Tag the task run that calls `function` by what its arguments say of run, party and round."""
    signature = inspect.signature(function)
    function = fault_step(function)

    @functools.wraps(function)
    def tag_and_call(*args: P.args, **kwargs: P.kwargs) -> R:
        if context := TaskRunContext.get():
            context.task_run.tags = tags_of(signature.bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    return cast("Callable[P, R]", tag_and_call)


def tag_flow_run(*tags: str) -> None:
    """Give the flow run that calls this further tags, for whoever looks for it: an automation gives none.

    Best effort, as everything that Prefect only shows.
    """
    given = {*runtime.flow_run.tags, *tags}
    with suppress(httpx.HTTPError):
        lasting_client(None).update_flow_run(UUID(runtime.flow_run.id), tags=sorted(given))


def tags_of(arguments: dict[str, Any]) -> list[str]:
    """`run:…`, `party:…` and `round:…`, sorted, as far as a task's arguments name them."""
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == "party":
            found["party"] = value
        elif name == "round_number":
            found["round"] = value
        else:
            for tag in ("run", "party", "round"):
                if isinstance(stated := getattr(value, tag, None), str | int):
                    found.setdefault(tag, stated)
    return sorted(f"{tag}:{value}" for tag, value in found.items())
