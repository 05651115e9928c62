"""Housekeeping on a real store: each role sweeps, the coordinator rejects, and neither holds up the other."""

import itertools
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from fedmodels.errors import InputError, RunConflict
from fedmodels.protocol.withdrawal import WithdrawalNotice
from flows import housekeeping
from infra import store_answers
from infra.keys import role_key
from infra.layout import closed_key, plan_key, release_key, update_key, withdrawal_key
from infra.locations import role_folder
from infra.settings import load_role_settings
from tasks import housekeeping as steps
from tasks.exchange import create_signed
from tasks.release.reading import read_release
from tasks.release.recording import Recorded
from tasks.release.taking import take_up
from tasks.round_folder import WithOwnFolder
from tests.store_alone import store_alone, store_of
from tests.tasks.release.released_models import proposed, put_model

NUMBERS = itertools.count(1)
ORPHAN = b"an update that no message names"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), ("shop-a", "shop-b")) as folder:
        yield folder


@pytest.fixture
def store(home):
    return store_of(home, "coordinator")


@pytest.fixture
def tidy(home, monkeypatch):
    """The flow of one role, without a Prefect server."""
    for name in (
        "hear_what_was_withdrawn",
        "record_missing_releases",
        "reject_overdue_releases",
        "sweep_disk",
        "sweep_prefix",
    ):
        monkeypatch.setattr(housekeeping, name, getattr(steps, name).fn)
    monkeypatch.setattr(steps, "get_run_logger", lambda: logging.getLogger("housekeeping"))

    def run(role="coordinator", older_than="1h"):
        monkeypatch.setattr(housekeeping, "load_settings", lambda: load_role_settings(home, role))
        return housekeeping.housekeeping.fn(older_than)

    return run


@pytest.fixture
def overdue(store, monkeypatch) -> str:
    """A recipe with a release that nobody approved in time; what lies in the store is two hours old."""
    recipe = f"recipe-{next(NUMBERS)}"
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    clock = store_answers.clock
    monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(hours=2))
    return recipe


def word(store, recipe) -> tuple[str, str] | None:
    found = read_release(store, recipe, 1).found.approval
    return (found.decision, found.by) if found else None


def test_the_coordinator_rejects_what_is_overdue_and_sweeps(store, overdue, tidy):
    put_model(store, "orphan")
    done = tidy()
    assert done["releases_rejected"] == 1
    assert done["bytes_swept"] >= len(b"weights of orphan")
    assert word(store, overdue) == ("reject", "deadline")
    names = ("withdrawals_heard", "releases_rejected", "tags_recorded", "bytes_swept", "disk_bytes_swept")
    assert tidy() == dict.fromkeys(names, 0)


def test_the_coordinator_hears_what_was_withdrawn(home, store, tidy):
    """No watch may be deployed, and a release that waits for a person is marked all the same."""
    recipe = f"recipe-{next(NUMBERS)}"
    release = proposed(store, recipe, "first", approval="person")
    place = {"party": "shop-a", "recipe": recipe, "number": 1, "leaves": False, "withdrawal": "a" * 64}
    notice = WithdrawalNotice(**place, receipts=({"run": "first", "round": 1},))
    key = role_key(load_role_settings(home, "shop-a").signing_key, "shop-a")
    create_signed(store_of(home, "shop-a"), withdrawal_key("shop-a", recipe, 1), notice, key)
    assert tidy()["withdrawals_heard"] == 1
    assert read_release(store, recipe, release).in_words == "awaiting approval, withdrawn"
    for mark in [key for key in store.list_keys(f"coordinator/releases/{recipe}/") if "withdrawn" in key]:
        store.delete(mark)
    assert read_release(store, recipe, release).in_words == "awaiting approval"
    assert tidy()["withdrawals_heard"] == 0
    assert read_release(store, recipe, release).in_words == "awaiting approval, withdrawn", "as by the copy"


@pytest.mark.parametrize("going", [True, False])
def test_a_form_that_came_in_time_is_waited_for_while_somebody_may_read_it(
    store, overdue, tidy, monkeypatch, going
):
    monkeypatch.setattr(steps, "seconds_left", lambda *_arguments: 12.0)
    monkeypatch.setattr(steps, "is_going", lambda _flow_run: going)
    tidy()
    assert (word(store, overdue) is None) is going


def test_the_form_of_whoever_took_a_release_up_counts(store, overdue, tidy, monkeypatch):
    request = read_release(store, overdue, 1).request
    assert take_up(store, request, "the taker", going=lambda _ticket: False)
    monkeypatch.setattr(
        steps, "seconds_left", lambda flow_run, _key: 12.0 if flow_run == "the taker" else None
    )
    monkeypatch.setattr(steps, "is_going", lambda _flow_run: True)
    tidy()
    assert word(store, overdue) is None


def test_faulty_settings_are_told_in_a_sentence_and_not_by_the_name_of_the_flow_run(monkeypatch):
    def faulty():
        raise InputError("The settings have a fault", fix="correct them", code="settings-invalid")

    monkeypatch.setattr(housekeeping, "load_settings", faulty)
    at = datetime(2026, 1, 2, 3, 30, tzinfo=UTC)
    monkeypatch.setattr(housekeeping, "flow_run", SimpleNamespace(scheduled_start_time=at))
    assert housekeeping.name_of_flow_run() == "housekeeping · 2026-01-02 03:30"
    state = housekeeping.housekeeping.fn()
    assert state.message == "settings-invalid: The settings have a fault; correct them."


def test_a_party_sweeps_its_own_prefix_and_rejects_nothing(home, store, overdue, tidy):
    own = store_of(home, "shop-a")
    own.put_blob(update_key("shop-a", "0" * 64), ORPHAN)
    left = WithOwnFolder(role_folder(home, "shop-a") / "runs" / "over")
    (left.models / "base.safetensors").write_bytes(b"base")
    left.let_go()
    store.put_blob(plan_key("over"), b"{}")
    store.put_blob(closed_key("over"), b"{}")
    try:
        swept = tidy("shop-a")
    finally:
        store.delete(plan_key("over"))
        store.delete(closed_key("over"))
    assert swept == {"releases_rejected": 0, "bytes_swept": len(ORPHAN), "disk_bytes_swept": len(b"base")}
    assert not left.folder.exists()
    assert word(store, overdue) is None


def test_a_sweep_that_fails_holds_up_no_rejection(store, overdue, tidy):
    put_model(store, "another orphan")
    key = plan_key("damaged")
    store.client.put_object(Bucket=store.bucket, Key=key, Body=b"{}", Metadata={"sha256": "0" * 64})
    try:
        state = tidy()
    finally:
        store.delete(key)
    assert state.is_failed()
    assert key in state.message
    assert word(store, overdue) == ("reject", "deadline")


def test_a_rejection_that_fails_holds_up_neither_the_sweep_nor_another_recipes(store, overdue, tidy):
    put_model(store, "a third orphan")
    broken = f"a-{overdue}"
    proposed(store, broken, "first", approval="person")
    key = release_key(broken, 1, "report")
    report = store.read(key)
    store.put_blob(key, b"{}")
    try:
        state = tidy()
    finally:
        store.put_blob(key, report)
    assert state.message.startswith(f"message-invalid: The object {key} is no valid ReleaseReport")
    assert word(store, overdue) == ("reject", "deadline")
    assert tidy()["bytes_swept"] == 0, "the sweep before took it"


def test_a_flow_run_is_named_after_its_hour(monkeypatch):
    monkeypatch.setattr(housekeeping, "load_settings", lambda: SimpleNamespace(role="shop-a"))
    due = datetime(2026, 1, 2, 3, 30, tzinfo=UTC)
    monkeypatch.setattr(housekeeping, "flow_run", SimpleNamespace(scheduled_start_time=due))
    assert housekeeping.name_of_flow_run() == "housekeeping · shop-a · 2026-01-02 03:30"


def test_releases_that_the_models_repository_lacks_are_recorded(store, overdue, tidy, monkeypatch):
    asked = []

    def record(recorder):
        asked.append((recorder.own.name, recorder.store.bucket))
        if len(asked) == 2:
            raise RunConflict("It is dirty", fix="commit there", code="models-dirty")
        return Recorded(tags=("a@v1.0.0", "a#champion#1"), lost=("b@v1.0.0",))

    monkeypatch.setattr(steps, "record_all", record)
    assert tidy()["tags_recorded"] == 2
    assert asked == [("models-repository", store.bucket)]
    put_model(store, "a fourth orphan")
    assert tidy().message == "models-dirty: It is dirty; commit there."
    assert tidy()["bytes_swept"] == 0, "it holds up no sweep"


def test_both_faults_are_told(store, overdue, tidy):
    key = release_key(overdue, 1, "report")
    report = store.read(key)
    store.put_blob(key, b"{}")
    try:
        message = tidy(older_than="a while").message
    finally:
        store.put_blob(key, report)
    assert key in message
    assert "a while" in message
