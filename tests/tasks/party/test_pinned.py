"""What a session keeps of its tables before it trains, and what its receipts say of that."""

import threading
from datetime import UTC, datetime

import pytest

from fedmodels.data.versions import PinnedTable, next_version
from fedmodels.errors import FedcartError, StoreUnavailable
from fedmodels.protocol.messages import PinnedData
from infra.settings import PartyPolicy
from tasks.party import pinned
from tasks.party.data import prepare_data
from tasks.party.pinned import await_push, pin_version, told_version
from tasks.party.versions import pushing
from tasks.party.versions.bringing_back import list_versions
from tests.tasks.party.test_data import ROWS, make_session, write


@pytest.fixture
def session(tmp_path):
    return make_session(tmp_path)


def listed(session):
    return [(each.version.number, each.pushed, each.runs) for each in list_versions(session.versions, "own")]


def prepared(session):
    prepare_data.fn(session)
    return pin_version.fn(session)


def test_a_session_pins_what_it_is_about_to_train_on(session, tmp_path, monkeypatch):
    monkeypatch.setattr(pushing, "push_versions", lambda desk, recipe: None)
    assert prepared(session) == 1
    first = session.pinned
    assert first.tables["train"].rows == len(ROWS)
    assert prepared(session) == 1
    assert session.pinned == first
    write(tmp_path / "train.csv", ROWS[:30])
    assert prepared(session) == 2
    assert session.pinned.keyed_hash != first.keyed_hash
    assert listed(session) == [(1, False, ("run-1",)), (2, False, ("run-1",))]


def test_rows_of_other_tables_than_the_pinned_ones_have_no_version(session, tmp_path, monkeypatch):
    monkeypatch.setattr(pushing, "push_versions", lambda desk, recipe: None)
    prepare_data.fn(session)
    write(tmp_path / "train.csv", ROWS[:30])
    assert pin_version.fn(session) == 1
    assert session.pinned is None


def test_neither_refused_rows_nor_those_of_a_party_that_does_not_want_to_are_pinned(session, monkeypatch):
    session.policy = PartyPolicy(pin_data=False)
    assert prepared(session) is None
    session.policy = PartyPolicy()
    session.prepared = None
    assert pin_version.fn(session) is None
    assert not session.versions.root.exists()
    await_push(session)


def test_a_history_that_was_rewritten_costs_the_version_alone(session, monkeypatch):
    monkeypatch.setattr(pushing, "push_versions", lambda desk, recipe: None)
    prepared(session)
    (session.versions.state / "key").unlink()
    with pytest.raises(FedcartError) as caught:
        prepared(session)
    assert caught.value.code == "history-damaged"
    assert session.pinned is None


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, words, *values):
        self.lines.append(words % values)


@pytest.fixture
def log(monkeypatch):
    made = Log()
    monkeypatch.setattr(pinned, "get_run_logger", lambda: made)
    return made


def test_a_push_is_waited_for_when_the_session_leaves(session, monkeypatch, log):
    pushed = threading.Event()
    begun = threading.Event()

    def push(desk, recipe):
        begun.set()
        pushed.wait(30)

    monkeypatch.setattr(pushing, "push_versions", push)
    prepared(session)
    assert begun.wait(30)  # while the session goes on
    monkeypatch.setattr(pinned, "PUSH_PATIENCE_S", 0.05)
    await_push(session)
    (line,) = log.lines
    assert "not done after 0 s" in line
    pushed.set()
    monkeypatch.setattr(pinned, "PUSH_PATIENCE_S", 30.0)
    await_push(session)
    assert len(log.lines) == 1


@pytest.mark.parametrize("how", ["returned", "raised"])
def test_a_remote_that_is_away_is_said_and_costs_nothing(session, monkeypatch, log, how):
    away = StoreUnavailable("The remote does not answer", code="remote-unreachable")

    def push(desk, recipe):
        if how == "raised":
            raise away
        return away

    monkeypatch.setattr(pushing, "push_versions", push)
    assert prepared(session) == 1
    await_push(session)
    (line,) = log.lines
    assert "The remote does not answer. (remote-unreachable)" in line


def test_a_push_that_fails_as_nobody_foresaw_is_told_without_its_words(session, monkeypatch, log):
    def push(desk, recipe):
        raise ValueError("/home/somebody/table.csv")

    monkeypatch.setattr(pushing, "push_versions", push)
    assert prepared(session) == 1
    await_push(session)
    (line,) = log.lines
    assert "failed with ValueError" in line and "push-failed" in line
    assert "/home/" not in line


TABLES = {
    name: PinnedTable(md5=digit * 32, bytes=9, rows=rows, suffix=".csv", columns=columns)
    for name, digit, rows, columns in (
        ("train", "a", 20, (("text", "string"), ("tax\u202eid", "string"))),
        ("holdout", "b", 5, (("text", "string"),)),
    )
}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (("hash",), {"keyed_hash": True}),
        (("rows",), {"rows": {"train": 20, "holdout": 5}}),
        (("schema",), {"columns": (("text", "string"),)}),
        (("hash", "rows"), {"keyed_hash": True, "rows": {"train": 20, "holdout": 5}}),
    ],
)
def test_a_receipt_says_what_the_policy_allows_and_no_more(told, expected):
    version = next_version((), "own", TABLES, datetime.now(UTC), b"k" * 32)
    if "keyed_hash" in expected:
        expected = {**expected, "keyed_hash": version.keyed_hash}
    found = told_version(version, PartyPolicy(tell_data_version=told))
    assert found == PinnedData(**expected)
    assert told_version(version, PartyPolicy()).keyed_hash == version.keyed_hash
    assert told_version(version, PartyPolicy(tell_data_version=())) is None
    assert told_version(None, PartyPolicy()) is None
    assert "aaaa" not in found.model_dump_json()
