"""A look at how a run stands, while the Prefect server dies, falls silent, is busy or comes back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from fedmodels.errors import PrefectAway
from infra.deployments.looking import (
    ANSWER_S,
    PAUSE_S,
    UNKNOWN,
    flow_run_ending,
    flow_run_outcome,
    flow_run_state,
    has_free_slot,
    short_look,
)
from infra.waiting import wait_for

RUN = str(uuid4())
SOON_S = 10.0
"""Within which any look is back."""


class Server(ThreadingHTTPServer):
    """A Prefect server that knows no run. It can fall silent: then it takes requests and says nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.speaks = Event()
        self.speaks.set()
        self.status = 404
        self.asked: list[str | None] = []

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"

    def dies(self) -> None:
        self.shutdown()
        self.server_close()

    def falls_silent(self) -> None:
        self.speaks.clear()


class Handler(BaseHTTPRequestHandler):
    """Answers with the server's status; one connection a request, as after the death of a server."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Authorization"))
        self.server.speaks.wait()
        self.send_response(self.server.status)
        self.send_header("Retry-After", "600")
        self.send_header("Content-Length", "2")
        self.end_headers()
        with suppress(BrokenPipeError):  # who looked has not waited
            self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Nothing: pytest shows what matters."""


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.speaks.set()
        server.dies()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("fate", [Server.dies, Server.falls_silent])
def test_a_look_is_back_soon_when_the_server_goes(server: Server, fate: Callable[[Server], None]):
    """After a first answer: from then on Prefect's own client tries again for a minute and more."""
    assert flow_run_state(RUN, api_url=server.api_url) == UNKNOWN
    fate(server)
    began = time.monotonic()
    looks = (flow_run_state, flow_run_outcome, flow_run_ending)
    assert [look(RUN, api_url=server.api_url) for look in looks] == [None] * 3
    assert time.monotonic() - began < SOON_S


def test_a_silent_server_is_waited_for_once_however_many_look(server: Server):
    """Who waits for many parties looks after them one after another."""
    server.falls_silent()
    began = time.monotonic()
    assert [flow_run_state(RUN, api_url=server.api_url) for _ in range(20)] == [None] * 20
    assert time.monotonic() - began < ANSWER_S + 1
    assert len(server.asked) == 1


def test_a_server_that_speaks_again_is_heard_soon(server: Server):
    server.falls_silent()
    assert flow_run_state(RUN, api_url=server.api_url) is None
    server.speaks.set()
    assert wait_for(lambda: flow_run_state(RUN, api_url=server.api_url) == UNKNOWN, timeout=PAUSE_S + 2)


@pytest.mark.parametrize("status", [408, 429, 502, 503])
def test_a_busy_server_makes_nobody_wait(server: Server, status: int):
    """Whatever `Retry-After` says; and it is away for a slot, rather than one that refuses."""
    server.status = status
    began = time.monotonic()
    assert flow_run_state(RUN, api_url=server.api_url) is None
    with temporary_settings({PREFECT_API_URL: server.api_url}), pytest.raises(PrefectAway):
        has_free_slot("fedcart-gpu-shop-a")
    assert time.monotonic() - began < SOON_S


def test_the_servers_login_is_sent_where_it_belongs(server: Server):
    settings = {PREFECT_API_URL: server.api_url, PREFECT_API_AUTH_STRING: "user:word"}
    with temporary_settings(settings):
        assert flow_run_state(RUN) == UNKNOWN
        assert flow_run_state(RUN, api_url=server.api_url) == UNKNOWN
    assert server.asked == ["Basic dXNlcjp3b3Jk", None]


def test_a_refusal_is_no_absence(server: Server):
    """So it spares the server nothing: the next look asks again."""
    server.status = 401
    for _ in range(2):
        with pytest.raises(httpx.HTTPStatusError), short_look(server.api_url) as client:
            client.read_flow_run(uuid4())
    assert len(server.asked) == 2
