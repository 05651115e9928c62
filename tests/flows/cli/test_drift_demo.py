"""`fedcart drift demo`: what it prints, and its exit status. The way itself is walked in tests/end_to_end."""

import json

import pytest
from typer.testing import CliRunner

from fedmodels.errors import InputError
from flows.cli.main import app
from flows.demonstrations import drift, training

ONE, OTHER = ({"release": n, "run": f"drift-demo-{n}", "model_sha256": f"{n}" * 64} for n in (1, 2))
SCORE = {"feature": "text", "measure": "out_of_vocabulary", "effect": 0.32, "bound": 0.1, "p_value": 0.0}
CHECK = {"name": "non-inferiority", "value": -0.2, "bound": -0.05, "verdict": "failed", "sentence": "No."}


def document(kind: str, *, detected: bool, verdict: str | None, after: dict) -> dict:
    return {
        "demonstration": kind,
        "drift": {
            "party": "music-shop",
            "detected": detected,
            "rows": 900,
            "features": ["text"] if detected else [],
            "scores": [SCORE] if detected else [],
        },
        "seconds": {"event_to_run": 3.14, "event_to_training": None, "total": 200.0},
        "unmeasured": {"event_to_training": "no party's log says so"},
        "run_id": "drift-demo-2" if detected else None,
        "retraining": None,
        "gate": {"verdict": verdict, "checks": [CHECK] if verdict else []},
        "champion": {"before": ONE, "after": after},
        "steps": [],
    }


@pytest.fixture
def call(monkeypatch, tmp_path):
    def called(came: dict, *words: str):
        def demonstrate(wanted, say, _watch):
            assert wanted.kind == came["demonstration"]
            assert wanted.home == tmp_path / "drift-demo"
            say(1.5, "the scheduled check began")
            return came

        monkeypatch.setattr(drift, "demonstrate_drift", demonstrate)
        return CliRunner().invoke(app, ["drift", "demo", *words], env={"FEDCART_HOME": str(tmp_path)})

    return called


def test_the_demonstrations_take_the_settings_bucket_and_one_the_database(monkeypatch, tmp_path):
    given = []

    def note(wanted, *_arguments):
        given.append(wanted)
        raise InputError("Far enough")

    monkeypatch.setattr(drift, "demonstrate_drift", note)
    monkeypatch.setattr(training, "demonstrate", note)
    named = {"FEDCART_BUCKET": "mine", "FEDCART_DATABASE": "postgresql://db/x"}
    for variables in ({}, named):
        for words in (["demo"], ["drift", "demo"]):
            done = CliRunner().invoke(app, words, env={"FEDCART_HOME": str(tmp_path), **variables})
            assert isinstance(done.exception, InputError)
            assert ("an SQLite of its own" in done.stderr) is (bool(variables) and "drift" in words)
    assert [wanted.bucket for wanted in given] == [None, None, "mine", "mine"]
    assert (given[0].database, given[2].database) == (None, "postgresql://db/x")
    assert "postgresql" not in repr(given[2])


@pytest.mark.parametrize(
    ("words", "detected", "verdict", "after"),
    [((), True, "passed", OTHER), (("--worse",), True, "refused", ONE), (("--no-drift",), False, None, ONE)],
)
def test_its_document_and_its_status(call, words, detected, verdict, after):
    kind = words[0].removeprefix("--") if words else "drift"
    done = call(document(kind, detected=detected, verdict=verdict, after=after), *words, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["shown"] is True
    assert found["champion"]["after"] == after
    assert "1.5 s  the scheduled check began" in done.stderr


@pytest.mark.parametrize(
    ("words", "detected", "verdict", "after"),
    [
        ((), False, None, ONE),
        ((), True, "refused", ONE),
        ((), True, "passed", ONE),
        (("--worse",), True, "passed", OTHER),
        (("--worse",), True, "not-reached", ONE),
        (("--no-drift",), True, "passed", OTHER),
    ],
)
def test_something_else_came_of_it(call, words, detected, verdict, after):
    kind = words[0].removeprefix("--") if words else "drift"
    done = call(document(kind, detected=detected, verdict=verdict, after=after), *words)
    assert done.exit_code == 1
    assert "This is not what the demonstration was to show." in done.stderr


def test_people_see_what_drifted_and_what_the_gate_said(call):
    done = call(document("worse", detected=True, verdict="refused", after=ONE), "--worse")
    assert "out_of_vocabulary" in done.stdout
    assert "Release gate: refused" in done.stdout
    assert "from the event to the run that the retraining starts" in done.stdout
    assert "The champion stays 111111111111." in done.stdout
    said = " ".join(done.stderr.split())
    assert "Not measured: from the event to the first optimiser step (no party's log says so)." in said
    moved = call(document("drift", detected=True, verdict="passed", after=OTHER))
    assert "Champion before 111111111111, after 222222222222." in moved.stdout


def test_two_kinds_at_once_are_refused(call):
    refused = call({}, "--no-drift", "--worse").exception
    assert isinstance(refused, InputError)
    assert refused.code == "usage"
