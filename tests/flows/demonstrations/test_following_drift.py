"""What is told of a demonstration: every span, and why one was not measured."""

from types import SimpleNamespace

import pytest

from flows.demonstrations import following_drift
from flows.demonstrations.arrivals import Arrival
from flows.demonstrations.drift_scene import Timeline
from flows.demonstrations.following_drift import SPANS, play
from infra.deployments.observing import SeenEvent, SeenRun
from tests.flows.silence import silent_watch

SCORE = {"feature": "text", "measure": "psi", "effect": 0.4, "bound": 0.2, "p_value": 0.0}
FEATURES = {"features": ["text"], "scores": [SCORE], "rows": 3}


@pytest.fixture
def scene(monkeypatch):
    """A stack on which everything follows at once; `said` is when a party said that it trains."""
    notices = iter([set(), {"notice"}, {"notice"}])
    scene = SimpleNamespace(
        home=None,
        recipe=None,
        server="",
        said=None,
        steps=[],
        champion=lambda: {"model_sha256": "0" * 64},
        notices=lambda _party: next(notices),
    )

    def seen(began):
        return SeenRun("id", "Completed", "", began, began + 0.5, scheduled=True, parameters={})

    moments = {"check": 1.0, "event": 2.0, "retraining": 3.0, "training": 4.0}
    for name, value in {
        "let_arrive": lambda *_: None,
        "await_check": lambda *_: seen(moments["check"]),
        "awaited": lambda look, *_: look(),
        "event_of": lambda *_: SeenEvent(moments["event"], FEATURES),
        "retraining_of": lambda *_: seen(moments["retraining"]),
        "run_asked_by": lambda *_: "again",
        "training_of": lambda *_: seen(moments["training"]),
        "look_until": lambda *_: None,
        "flow_run_ending": lambda *_, **__: ("Completed", ""),
        "gate_of": lambda *_: {"verdict": "passed", "checks": []},
        "runs_of": lambda *_, **__: [],
        "events_called": lambda *_, **__: [],
        "first_said": lambda *_, **__: scene.said,
        "LOG_TIMEOUT": 0.0,
        "_see_that_nothing_follows": lambda *_: None,
    }.items():
        monkeypatch.setattr(following_drift, name, value)
    return scene


def played(scene):
    timeline = Timeline(lambda _seconds, words: scene.steps.append(words))
    return play(scene, Arrival("shop-a", (), "rows"), timeline, silent_watch)


def test_every_span_is_there_in_the_order_in_which_things_happen(scene):
    scene.said = 5.0
    found = played(scene)
    assert list(found["seconds"]) == list(SPANS)
    assert [found["seconds"][name] for name in SPANS[3:6]] == [1.0, 2.0, 3.0]
    assert found["unmeasured"] == {}


def test_a_first_step_that_no_log_names_is_null_with_its_reason(scene):
    found = played(scene)
    assert list(found["seconds"]) == list(SPANS)
    assert found["seconds"]["event_to_training"] is None
    assert found["unmeasured"] == {"event_to_training": following_drift.NO_STEP}
    assert following_drift.NO_STEP in scene.steps


def test_without_a_notice_what_would_follow_is_null(scene):
    scene.notices = lambda _party: set()
    found = played(scene)
    assert list(found["seconds"]) == list(SPANS)
    assert set(found["unmeasured"]) == set(SPANS[2:])
    assert set(found["unmeasured"].values()) == {following_drift.NO_NOTICE}
