"""The local Prefect server, `infra.deployments.server HOST PORT`: Prefect's own, patient with SQLite.

Two things are done around it, each in one piece of ASGI middleware, and three in it: `let_schedules_run`,
`let_triggers_wait` and `let_nobody_crash_who_waits`.

SQLite takes one writer at a time, and refuses a transaction that had begun to read before another one wrote.
Prefect's server answers 503 then, and its clients wait two seconds, then four, before they ask again, for
a conflict that is over in milliseconds: with six processes that start at once, up to fifteen seconds. So the
same request is put to Prefect again at once, which is all that its client would do (`Patient`).

With SQLite Prefect answers 100 requests at once at most, and counts open web sockets, of which each flow run
keeps four: with 25 runs it answered nobody any more, for ever. Here only requests count (`RequestLimit`).
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn
from fastapi import FastAPI
from prefect.server.api.server import RequestLimitMiddleware, create_app
from prefect.server.database import provide_database_interface
from prefect.server.database.orm_models import FlowRun
from prefect.server.events import triggers
from prefect.server.orchestration.core_policy import CoreFlowPolicy
from prefect.server.orchestration.dependencies import ORCHESTRATION_DEPENDENCIES
from prefect.server.orchestration.policies import FlowRunOrchestrationPolicy
from prefect.server.orchestration.rules import FlowRunOrchestrationRule
from prefect.server.schemas.states import StateType
from prefect.settings import get_current_settings
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from infra.deployments.heartbeats import MESSAGE

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
"""As in ASGI 3, https://asgi.readthedocs.io."""

UNAVAILABLE = 503
WAITS_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Before each new try; together less than the first wait of a client."""
LARGEST_BODY = 4 * 2**20
"""Bytes of a request that are kept for a new try; a longer one gets its first answer."""


class Patient:
    """Puts a request to `application` again while that says that it is unavailable."""

    def __init__(self, application: Application, waits: tuple[float, ...] = WAITS_S) -> None:
        self._application = application
        self._waits = waits

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request, whole = await _read(receive)
        for wait in self._waits if whole else ():
            answer = Answer(send)
            try:
                await self._application(dict(scope), _replay(request, receive), answer.take)
            except SQLAlchemyError:  # what lies behind the answer is raised when that was given
                if not answer.held_back:
                    raise
            if not answer.held_back:
                return
            await asyncio.sleep(wait)
        await self._application(scope, _replay(request, receive), send)


class RequestLimit(RequestLimitMiddleware):
    """Prefect's limit of requests at once, which lets web sockets pass: they write next to nothing."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection."""
        if scope["type"] == "http":
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def limiting_requests_alone(application: FastAPI) -> FastAPI:
    """The same application, which has served nobody yet, with `RequestLimit` for the limit that it has."""
    pieces: list[Any] = application.user_middleware
    for piece in pieces:
        if piece.cls is RequestLimitMiddleware:
            piece.cls = RequestLimit
    return application


class Answer:
    """Passes an answer on as it comes, unless it says that the server is unavailable."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.held_back = False

    async def take(self, message: Message) -> None:
        """A part of the answer."""
        if message["type"] == "http.response.start":
            self.held_back = message["status"] == UNAVAILABLE
        if not self.held_back:
            await self._send(message)


async def _read(receive: Receive) -> tuple[list[Message], bool]:
    """The parts of a request, and whether these are all of them."""
    parts, size = [], 0
    while size <= LARGEST_BODY:
        parts.append(await receive())
        size += len(parts[-1].get("body", b""))
        if not parts[-1].get("more_body", False):
            return parts, True
    return parts, False


def _replay(parts: list[Message], receive: Receive) -> Receive:
    """The same parts from their beginning, then whatever else comes: the rest, or that the client left."""
    left = iter(parts)

    async def again() -> Message:
        return next(left, None) or await receive()

    return again


def let_schedules_run() -> None:
    """Let Prefect 3.8 make the flow runs of schedules under SQLAlchemy 2.1, which refuses it.

    Prefect inserts them in bulk, from dictionaries that hold a `state` besides the table's columns, and the
    states by themselves afterwards. SQLAlchemy 2.0 passes over such a key. 2.1 takes it for the hybrid
    property of that name, and raises `InvalidRequestError`, once a minute for ever, since that does not say
    what is to be done with the value. It is nothing.
    """
    state: Any = inspect(FlowRun).all_orm_descriptors["state"]
    if getattr(state, "bulk_dml_setter", None) is None:
        state.bulk_dml_setter = lambda _class, _values, _state: None


def let_triggers_wait() -> None:
    """Let the triggers of Prefect 3.8's automations wait while somebody else writes to SQLite.

    The trigger that an event concerns is read first, and written to afterwards. SQLite refuses such a
    transaction at once when another one writes meanwhile: its timeout of a minute is for those that begin
    with a write. Prefect offers the event to the trigger three times more, within milliseconds, and lays it
    aside for good (`dlq` in its home). So the triggers' transactions take the write lock when they begin,
    as those of Prefect do that mark a deployment as ready.
    """

    def session(begin_transaction: bool = False) -> AbstractAsyncContextManager[AsyncSession]:
        return provide_database_interface().session_context(
            begin_transaction=begin_transaction, with_for_update=begin_transaction
        )

    triggers.automations_session = session  # type: ignore[assignment, attr-defined]


class SilenceIsNoCrash(FlowRunOrchestrationRule):
    """Keeps the automation for silent runs from a run that has no process, and so must be silent."""

    FROM_STATES = {StateType.PAUSED, StateType.SCHEDULED}  # noqa: RUF012
    TO_STATES = {StateType.CRASHED}  # noqa: RUF012

    async def before_transition(self, _initial: Any, proposed_state: Any, _context: Any) -> None:
        """Refuse the automation's state; anybody else's passes."""
        if proposed_state.message == MESSAGE:
            await self.abort_transition("The run waits, for a person or for its time, and has no process")


class FlowPolicy(FlowRunOrchestrationPolicy):
    """Prefect's own rules, after ours."""

    @staticmethod
    def priority() -> list[Any]:
        """The rules in their order."""
        return [SilenceIsNoCrash, *CoreFlowPolicy.priority()]


def let_nobody_crash_who_waits() -> None:
    """Have each change of a flow run's state pass our rule, by Prefect's own hook for it.

    The automation goes by events alone. One that is lost, or that waits for the event before it, which the
    server had before it was started again, would cost a release that waits for a person.
    """

    async def policy() -> type[FlowRunOrchestrationPolicy]:
        return FlowPolicy

    ORCHESTRATION_DEPENDENCIES["flow_policy_provider"] = policy


def main(host: str, port: int) -> None:
    """Serve until a signal ends it, as `prefect server start` does."""
    let_schedules_run()
    let_triggers_wait()
    let_nobody_crash_who_waits()
    api = get_current_settings().server.api
    uvicorn.run(
        Patient(limiting_requests_alone(create_app(final=True))),
        host=host,
        port=port,
        timeout_keep_alive=api.keepalive_timeout,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
        log_level="warning",
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
