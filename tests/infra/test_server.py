"""Requests that SQLite refuses for a moment are put to Prefect again; all others pass as they are."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing

import httpx
import pytest
from prefect.server.database.orm_models import FlowRun
from prefect.server.events import triggers
from prefect.server.events.models.automations import automations_session
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings
from sqlalchemy import create_engine, insert, inspect, text
from sqlalchemy.exc import InvalidRequestError, OperationalError
from sqlalchemy.orm import Session
from websockets.asyncio.client import connect

from infra.deployments.server import Patient, let_schedules_run, let_triggers_wait

PARTS = ({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.request", "body": b"}"})


class Prefect:
    """An application that is unavailable for some requests, and then answers with what it read."""

    def __init__(self, refusals: int, *, raises: bool = False) -> None:
        self.refusals, self.raises = refusals, raises
        self.read: list[bytes] = []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await send({"type": "websocket.accept"})
            return
        body = b""
        while (part := await receive()).get("more_body"):
            body += part["body"]
        self.read.append(body + part["body"])
        status = 503 if len(self.read) <= self.refusals else 201
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": str(status).encode()})
        if status == 503 and self.raises:
            raise OperationalError("INSERT", {}, Exception("database is locked"))


def asked(application, kind="http", waits=(0.0, 0.0), parts=PARTS):
    """What a client of the patient server gets."""
    left, sent = iter(parts), []

    async def receive():
        return next(left)

    async def send(message):
        sent.append(message)

    asyncio.run(Patient(application, waits)({"type": kind}, receive, send))
    return sent


@pytest.mark.parametrize("raises", [False, True])
def test_a_refusal_for_a_moment_never_reaches_the_client(raises):
    prefect = Prefect(2, raises=raises)
    start, body = asked(prefect)
    assert (start["status"], body["body"]) == (201, b"201")
    assert prefect.read == [b"{}"] * 3, "each try has the whole request"


def test_a_refusal_that_lasts_is_passed_on():
    prefect = Prefect(9)
    assert [message.get("status") for message in asked(prefect)] == [503, None]
    assert len(prefect.read) == 3


def test_any_other_answer_is_passed_on_at_once():
    prefect = Prefect(0)
    assert asked(prefect)[0]["status"] == 201
    assert len(prefect.read) == 1


def test_what_is_no_request_is_left_alone():
    assert asked(Prefect(9), kind="websocket") == [{"type": "websocket.accept"}]


def test_a_request_that_is_too_long_to_keep_gets_its_first_answer():
    long = ({"type": "http.request", "body": b"x" * (5 * 2**20), "more_body": True}, PARTS[1])
    prefect = Prefect(1)
    assert asked(prefect, parts=long)[0]["status"] == 503
    assert len(prefect.read[0]) == 5 * 2**20 + 1


def bulk_insert():
    """As Prefect inserts the runs of a schedule, into a database that has no table."""
    with Session(create_engine("sqlite://")) as session:
        session.execute(insert(FlowRun), [{"name": "at two o'clock", "state": {"type": "SCHEDULED"}}] * 2)


def test_runs_of_a_schedule_reach_the_database(monkeypatch):
    monkeypatch.setattr(inspect(FlowRun).all_orm_descriptors["state"], "bulk_dml_setter", None)
    with pytest.raises(InvalidRequestError):  # once it does not, the server needs no help any more
        bulk_insert()
    let_schedules_run()
    with pytest.raises(OperationalError, match="no such table: flow_run"):
        bulk_insert()


async def count_an_event(database, written_for):
    """As a trigger does, while somebody else writes to the database for so many seconds."""
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(written_for, other.rollback)
        async with triggers.automations_session(begin_transaction=True) as session:
            (before,) = (await session.execute(text("SELECT events FROM bucket"))).one()
            await session.execute(text("UPDATE bucket SET events = :events"), {"events": before + 1})


def test_a_trigger_waits_while_somebody_else_writes(tmp_path, monkeypatch):
    database = tmp_path / "prefect.db"
    with closing(sqlite3.connect(database)) as made:
        made.executescript("""
            PRAGMA journal_mode = WAL;
            CREATE TABLE bucket (events INTEGER);
            INSERT INTO bucket VALUES (0);
        """)
    monkeypatch.setattr(triggers, "automations_session", automations_session)
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{database}"}):
        with pytest.raises(OperationalError, match="locked"):  # once it waits, it needs no help any more
            asyncio.run(count_an_event(database, 0.3))
        let_triggers_wait()
        asyncio.run(count_an_event(database, 0.3))
    with closing(sqlite3.connect(database)) as read:
        assert read.execute("SELECT events FROM bucket").fetchall() == [(1,)]


def test_open_web_sockets_keep_nobody_from_being_answered(running):
    """Each flow run keeps four of them: these stand for thirty runs."""

    async def healthy_beside(sockets: int) -> bool:
        async with AsyncExitStack() as held:
            for _ in range(sockets):
                await held.enter_async_context(connect(f"{running.api_url.replace('http', 'ws')}/events/in"))
            async with httpx.AsyncClient(timeout=10) as client:
                return (await client.get(f"{running.api_url}/health")).json()

    assert asyncio.run(healthy_beside(120))
