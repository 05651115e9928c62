"""The retraining flow: it begins, waits and releases, or ends with one sentence; and the watch's answer."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from prefect.states import Completed

from fedmodels.errors import (
    InputError,
    PrefectAway,
    QuorumMissed,
    RunConflict,
    RunError,
    StoreUnavailable,
    read_coded,
)
from fedmodels.protocol.drift import SeenNotice
from fedmodels.protocol.retraining import DRIFT_STOPPED, RetrainingRequest
from flows import drift_watch, retraining
from tasks.retraining.watching import Told
from tasks.retraining.withdrawing import Answered

REQUEST = RetrainingRequest(
    recipe="tiny",
    number=1,
    ticket="flow-run",
    run="tiny-20260101-000000",
    champion_sha256="0" * 64,
    parties=("a",),
    reason="drift at a: text (told by a)",
)


@pytest.fixture
def played(monkeypatch):
    """The steps, played; notes what was asked of each."""
    noted = []
    answers = SimpleNamespace(
        ask=REQUEST, released={"recipe": "tiny", "release": 2, "model_sha256": "1" * 64}
    )

    def ask(desk, ticket, run, reason):
        noted.append(("ask", desk.recipe, ticket, run, reason))
        if isinstance(answers.ask, Exception):
            raise answers.ask
        return answers.ask

    def release(desk, ticket, reason):
        noted.append(("release", desk.run, ticket, reason))
        if isinstance(answers.released, Exception):
            raise answers.released
        return answers.released

    monkeypatch.setattr(retraining, "load_settings", lambda: None)
    monkeypatch.setattr(
        retraining, "RetrainingDesk", lambda recipe, _: SimpleNamespace(recipe=recipe, settings=0)
    )
    monkeypatch.setattr(retraining, "ReleaseDesk", lambda run, _: SimpleNamespace(run=run))
    monkeypatch.setattr(retraining, "ask", ask)
    monkeypatch.setattr(retraining, "start", lambda _desk, request: noted.append(("start", request.run)))
    monkeypatch.setattr(
        retraining, "await_training", lambda _desk, request, _id: noted.append(("wait", request.run))
    )
    monkeypatch.setattr(retraining, "release", release)
    flow_run = SimpleNamespace(id="flow-run", scheduled_start_time=datetime(2026, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(retraining, "runtime", SimpleNamespace(flow_run=flow_run))
    answers.noted, answers.tags = noted, []
    monkeypatch.setattr(retraining, "tag_flow_run", answers.tags.append)
    return answers


def flow(**parameters):
    return retraining.retraining.fn("tiny", **parameters)


def test_it_trains_and_releases_under_its_own_ticket(played):
    event = {"party": "a", "features": ["text"], "notice": "k"}
    assert flow(reason=event) == {**played.released, "run": REQUEST.run}
    assert played.tags == ["recipe:tiny"]
    assert played.noted == [
        ("ask", "tiny", "flow-run", REQUEST.run, event),
        ("start", REQUEST.run),
        ("wait", REQUEST.run),
        ("release", REQUEST.run, "flow-run", REQUEST.reason),
    ]


def test_what_the_gate_says_is_the_flows_end(played):
    played.released = Completed(
        name="Refused", message="Release 2 of tiny failed a check: calibration. It is off."
    )
    assert flow() is played.released


@pytest.mark.parametrize("code", sorted(retraining.NOT_STARTED))
def test_a_rule_that_forbids_it_and_an_event_that_comes_too_late_are_no_faults(played, code):
    played.ask = RunConflict("It is not the time", code=code)
    state = flow()
    assert (state.name, state.is_completed(), state.message) == (
        "NotStarted",
        True,
        f"{code}: It is not the time.",
    )
    assert len(played.noted) == 1, "no round was announced"


@pytest.mark.parametrize(
    "error",
    [
        InputError("The event is of nobody", code="drift-event-unknown"),
        StoreUnavailable("The object store does not answer"),
        RunConflict("Another release came first", code="promotion-lost"),
        RunConflict("Nobody conducts the run", fix="go on with it", code=DRIFT_STOPPED),
    ],
)
def test_anything_else_fails_with_its_sentence(played, error):
    played.ask = error
    state = flow()
    assert state.is_failed()
    assert read_coded(state.message) == (error.code, str(error))


def test_a_run_that_did_not_finish_is_not_released(played):
    played.released = RunError("The run is failed", code="run-unfinished")
    assert flow().message == "run-unfinished: The run is failed."


def test_a_recipe_that_is_no_id_is_refused(played):
    state = retraining.retraining.fn("No Id")
    assert state.is_failed()
    assert played.noted == []


def test_the_watch_says_who_told_and_what_was_refused(monkeypatch):
    seen = (
        SeenNotice(key="1", party="a", recipe="tiny"),
        SeenNotice(key="2", party="b", code="drift-signature"),
        SeenNotice(key="3", party="b", code="drift-signature"),
    )
    monkeypatch.setattr(drift_watch, "load_settings", lambda: None)
    monkeypatch.setattr(drift_watch, "WatchDesk", lambda _: None)
    answered = Answered(("tiny",))
    monkeypatch.setattr(drift_watch, "answer_withdrawals", lambda _: answered)
    monkeypatch.setattr(drift_watch, "note_notices", lambda _: seen)
    monkeypatch.setattr(drift_watch, "tell_of_drift", lambda _: Told(seen[:1]))
    said = {"told": ["tiny/a"], "refused": {"drift-signature": 2}}
    assert drift_watch.drift_watch.fn() == {**said, "without_withdrawn": ["tiny"]}
    answered = Answered(held_up=(QuorumMissed("1 party is left", code="withdrawal-parties"),))
    state = drift_watch.drift_watch.fn()
    assert (state.name, state.message) == ("HeldUp", "withdrawal-parties: 1 party is left.")
    answered = Answered()

    def away(_desk):
        raise PrefectAway("The Prefect server does not answer")

    monkeypatch.setattr(drift_watch, "tell_of_drift", away)
    assert drift_watch.drift_watch.fn().is_failed()
