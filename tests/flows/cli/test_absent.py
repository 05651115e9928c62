"""How `fedcart train` and `fedcart demo` end: with who never counted, and where the model is."""

import copy
import json

import pytest

from flows.cli.absent import absent
from tests.flows.cli.in_process import call_main

SCORES = {"accuracy": 0.8, "macro_f1": 0.8, "loss": 0.4, "num_examples": 100}
SUMMARY = {
    "run_id": "mine-1",
    "recipe": "reviews",
    "status": "finished",
    "reason": "1 of 1 rounds passed",
    "model_sha256": "a" * 64,
    "best_round": 1,
    "final": SCORES,
    "seconds": {"startup": 1.0, "total": 2.0},
    "peak_pss_mb": 100.0,
    "rounds": [],
}


def row(number, accepted, **refused):
    return {
        "round": number,
        "outcome": "passed",
        "accepted": accepted,
        "refused": [{"party": party, "code": code} for party, code in refused.items()],
        "metrics": SCORES,
        "parties": {},
        "seconds": {"total": 1.0, "overhead": 0.1},
        "bytes": {"up": 1},
    }


def ended(*rows):
    return {**copy.deepcopy(SUMMARY), "rounds": list(rows)}


def test_who_never_counted_and_why():
    summary = ended(
        row(1, ["a", "b"], c="late", d="table-missing", e="table-missing"),
        row(2, ["a", "c"], b="late", d="session-died", e="table-missing"),
    )
    assert absent(summary) == {"d": ["table-missing", "session-died"], "e": ["table-missing"]}
    assert absent(ended(row(1, ["a", "b"]))) == {}


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """`train` or `demo` whose training is over at once with this summary."""

    def run(summary, *words):
        monkeypatch.setattr("flows.following.begin", lambda *_: "flow-run")
        monkeypatch.setattr("flows.following.follow", lambda *_: copy.deepcopy(summary))
        monkeypatch.setattr("flows.demonstrations.training.demonstrate", lambda *_: copy.deepcopy(summary))
        return call_main(monkeypatch, capsys, list(words), FEDCART_HOME=str(tmp_path))

    return run


TRAIN, DEMO = ("train", "--recipe", "reviews", "--run", "mine-1"), ("demo",)


@pytest.mark.parametrize("words", [TRAIN, DEMO], ids=["train", "demo"])
@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize(
    ("code", "look"),
    [
        ("table-missing", "run fedcart data check --party c --recipe reviews at the party to see why"),
        ("contract-failed", "run fedcart data check --party c --recipe reviews at the party to see why"),
        ("session-died", "docs/errors.md says what that means, and the party's own log what happened"),
    ],
)
def test_a_run_that_finished_without_a_party_ends_with_that(command, words, options, code, look):
    done = command(ended(row(1, ["a", "b"], c=code)), *words, *options)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == f"warning c counted in no round of mine-1 ({code}); {look}."
    if options:
        assert json.loads(done.stdout)["run_id"] == "mine-1"


@pytest.mark.parametrize("words", [TRAIN, DEMO], ids=["train", "demo"])
def test_where_all_counted_nothing_is_warned_of(command, words):
    assert "warning" not in command(ended(row(1, ["a", "b", "c"])), *words).stderr


@pytest.mark.parametrize("words", [TRAIN, DEMO], ids=["train", "demo"])
def test_the_kept_model_is_to_be_tried(command, words, tmp_path):
    folder = tmp_path / "runs" / "mine-1" / "model"
    assert "Try it" not in command(ended(row(1, ["a"])), *words).stdout, "none is kept"
    folder.mkdir(parents=True)
    said = command(ended(row(1, ["a"])), *words).stdout
    assert f"The model is in {folder}. Try it:\n" in said
    assert 'fedcart predict mine-1 --text "works great"\n' in said
