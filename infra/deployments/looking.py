"""Looking how a run stands: one short try, so that a server that is away holds up nobody who waits.

Prefect's own client tries six times, and waits longer from try to try: a minute for a server that is gone,
and six and a half for one that takes a request and says nothing. A start is worth that. A look is not: the
next one comes in two seconds, and meanwhile receipts arrive and runs are cancelled.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from infra.deployments.heartbeats import MESSAGE, fell_silent, not_answered
from infra.deployments.starting import mapped

if TYPE_CHECKING:
    import httpx
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State
    from prefect.settings import Settings

UNKNOWN = "UNKNOWN"
"""Said instead of a state of a run that the server does not know: its database was lost."""
ANSWER_S = 4.0
"""How long a look waits for an answer; for a connection, at each of httpx's four tries, a quarter of it."""
PAUSE_S = 5.0
"""How long after a look that got no answer nobody asks: parties are looked after one after another."""
BUSY = frozenset({408, 429, 502, 503})
"""Answers after which Prefect's client would wait, for as long as the answer says."""


def flow_run_state(flow_run_id: str, *, api_url: str | None = None) -> str | None:
    """Type of the run's state, e.g. `RUNNING`; `UNKNOWN` when the server never heard of the run.

    `None` when the server cannot say. Prefect is the view and not the truth: a lost database must not
    stop a training.
    """
    state = _state(flow_run_id, api_url)
    return state if state is None or isinstance(state, str) else state.type.value


def is_going(flow_run_id: str, *, api_url: str | None = None) -> bool:
    """Whether a run may still go on: it has not ended, or the server cannot say.

    Whatever is no id of a flow run, and a run that the server does not know, goes on no more.
    """
    from prefect.client.schemas.objects import TERMINAL_STATES

    try:
        UUID(flow_run_id)
    except ValueError:
        return False
    over = {UNKNOWN, *(state.value for state in TERMINAL_STATES)}
    return flow_run_state(flow_run_id, api_url=api_url) not in over


def flow_run_outcome(flow_run_id: str, *, api_url: str | None = None) -> str | None:
    """What a run that has ended says of its end, or its state's name; `None` as long as none is known."""
    state = _state(flow_run_id, api_url)
    if state is None or isinstance(state, str) or not state.is_final():
        return None
    return state.message or state.name or state.type.value


def flow_run_ending(flow_run_id: str, *, api_url: str | None = None) -> tuple[str, str] | None:
    """Name and message of the state in which a run has ended, or waits for a person; `None` before."""
    state = _state(flow_run_id, api_url)
    if state is None or isinstance(state, str) or not (state.is_final() or state.is_paused()):
        return None
    return state.name or state.type.value, state.message or ""


def has_free_slot(limit: str) -> bool:
    """Whether the concurrency limit of that name has a slot to give.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know the limit.
    """
    with mapped(f"concurrency limit {limit}"), short_look(None) as client:
        found = client.read_global_concurrency_limit_by_name(limit)
    return found.active_slots < found.limit


def _state(flow_run_id: str, api_url: str | None) -> "State[Any] | str | None":
    """The run's state, `UNKNOWN`, or `None` when the server cannot say."""
    import httpx
    from prefect.exceptions import ObjectNotFound

    try:
        with short_look(api_url) as client:
            state = client.read_flow_run(UUID(flow_run_id)).state
            if state and state.message == MESSAGE and not fell_silent(client, flow_run_id):
                return "RUNNING"
    except ObjectNotFound:
        return UNKNOWN
    except httpx.HTTPError:
        not_answered(flow_run_id)
        return None
    return state


@contextmanager
def short_look(api_url: str | None) -> "Iterator[SyncPrefectClient]":
    """A client that tries once, and waits for `ANSWER_S`; for `PAUSE_S` after it got no answer, not at all.

    Raises:
        httpx.TransportError: the server does not answer, or is busy.
        httpx.HTTPStatusError: it refuses.
    """
    import httpx
    from prefect.context import SettingsContext, get_settings_context
    from prefect.settings import PREFECT_API_URL

    line = _line(api_url, PREFECT_API_URL.value())
    if time.monotonic() < line.silent_until:
        raise httpx.ConnectError("The server gave no answer a moment ago")
    try:
        with SettingsContext(profile=get_settings_context().profile, settings=line.settings):
            yield line.client
    except httpx.TransportError:
        line.silent_until = time.monotonic() + PAUSE_S
        raise


class _Line:
    """A client, the settings under which it tries once, and until when (monotonic) it is spared."""

    def __init__(self, client: "SyncPrefectClient", settings: "Settings") -> None:
        self.client, self.settings = client, settings
        self.silent_until = 0.0


@cache
def _line(api_url: str | None, _surrounding: str | None) -> _Line:
    """One for all looks of this process: making a client takes a fifth of a second of processor time."""
    import httpx
    from prefect.client.orchestration import SyncPrefectClient, get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings

    once: dict[str, Any] = {
        "timeout": httpx.Timeout(ANSWER_S, connect=ANSWER_S / 4),
        "event_hooks": {"response": [_refuse_busy]},
    }
    if api_url:
        client = SyncPrefectClient(api_url, httpx_settings=once)
    else:
        client = get_client(httpx_settings=once, sync_client=True)
    settings = get_current_settings().copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})
    return _Line(client.__enter__(), settings)


def _refuse_busy(response: "httpx.Response") -> None:
    import httpx

    if response.status_code in BUSY:
        raise httpx.NetworkError(f"The server is busy ({response.status_code})", request=response.request)
