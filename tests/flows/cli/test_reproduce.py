"""`fedcart reproduce` for people and for programs; test_rounds plays it whole."""

import json

import pytest

from fedmodels.errors import RunConflict
from fedmodels.protocol.messages import StartingModel
from flows import following
from flows.cli import reproduce as command
from flows.cli.reproduce import code_in_words, known_commit, lost_start, tell
from infra import code_worktree
from infra.checkout import Checkout
from infra.layout import model_key
from tests.fedmodels.protocol.test_lineage import HERE
from tests.flows.cli.in_process import call_main
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, finished_run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        finished_run(folder, "then")
        yield folder


@pytest.fixture
def reproduce(home, monkeypatch, capsys):
    """The command on a stack of which only the store is there: what it begins is played at once."""

    def run(*words, plays, ends="finished"):
        asked = []

        def begin(request, _home):
            asked.append(request)
            plays(request.run)
            return "flow-run"

        monkeypatch.setattr(following, "begin", begin)
        monkeypatch.setattr(following, "follow", lambda *_arguments: {"status": ends})
        monkeypatch.setattr(following, "running_store", following.coordinator_store)
        called = ["reproduce", "then", *words]
        return call_main(monkeypatch, capsys, called, FEDCART_HOME=str(home)), asked

    return run


def test_the_same_model_is_said_in_a_sentence(home, reproduce):
    done, (asked,) = reproduce(plays=lambda name: finished_run(home, name))
    assert done.returncode == 0, done.stderr
    assert "then was made again as then-again-1: the same model" in done.stdout
    assert "it is not known which commit trained this run" in done.stderr, "of a plan of before it was told"
    assert (asked.run, asked.parties, asked.resume) == ("then-again-1", PARTIES, False)


def test_a_model_to_begin_from_that_is_gone_is_told_before_anything_is_trained(home):
    earlier = finished_run(home, "earlier")
    first = earlier.records[0]
    start = StartingModel(run="earlier", round=1, model_sha256=first.model_sha256)
    plan = earlier.plan.model_copy(update={"run": "then", "begins_from": start})
    assert lost_start(earlier.store, earlier.plan) == ""
    assert lost_start(earlier.store, plan) == ""
    key = model_key(first.model_sha256)
    data = earlier.store.read(key)
    earlier.store.delete(key)
    told = lost_start(earlier.store, plan)
    assert "began from the model of earlier after round 1, which cannot be had: that model is gone" in told
    assert "give fedcart reproduce earlier first" in told
    nowhere = start.model_copy(update={"run": "nowhere"})
    told = lost_start(earlier.store, plan.model_copy(update={"begins_from": nowhere}))
    assert "that run is gone" in told and "fedcart reproduce" not in told, "it cannot help"
    earlier.store.put_blob(key, data)
    assert lost_start(earlier.store, plan) == "", "a repetition of that run puts the same bytes there"


def test_the_command_says_so_too(home, reproduce, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "lost_start", lambda _store, plan: asked.append(plan.run) or "it is gone.")

    def play(name):
        asked.append("begun")
        finished_run(home, name)

    done, _ = reproduce(plays=play)
    assert "it is gone." in done.stderr
    assert asked == ["then", "begun"]


def test_another_model_is_a_status_and_names_what_differs_first(home, reproduce, tmp_path):
    def other(name):
        run = FinishedRun(home, name)
        run.play(1, {"shop-a": 1, "shop-b": 1}, {"shop-c": "late"}, accuracy=0.7)
        run.close()

    out_file = tmp_path / "told.json"
    done, _ = reproduce("--json", "--out", str(out_file), "--run", "other-1", plays=other)
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told == json.loads(out_file.read_text())
    assert (told["run_id"], told["again"], told["equal"]) == ("then", "other-1", False)
    assert told["model_sha256"]["then"] != told["model_sha256"]["now"]
    assert told["first_difference"] == {
        "where": "round 1",
        "what": "parties that count",
        "then": ", ".join(PARTIES),
        "now": "shop-a, shop-b",
    }


def test_a_repetition_that_was_cancelled_is_no_word_on_the_run(home, reproduce):
    done, _ = reproduce("--run", "stopped-1", plays=lambda _name: None, ends="cancelled")
    assert done.returncode == 1
    assert (
        "stopped-1, which was to repeat then, is cancelled; run fedcart reproduce then again" in done.stderr
    )


@pytest.mark.parametrize(("recipe", "named"), [("smoke", "smoke"), ("my-own", "FILE")])
def test_who_trained_on_other_rows_is_told_how_to_bring_the_old_ones_back(capsys, recipe, named):
    difference = {"where": "round 2 · shop-b", "what": "training rows", "then": "a" * 64, "now": "b" * 64}
    models = {"then": "c" * 64, "now": "d" * 64}
    tell(
        {
            "run_id": "then",
            "recipe": recipe,
            "again": "then-again-1",
            "equal": False,
            "model_sha256": models,
            "first_difference": difference,
            "environment": [],
        }
    )
    out = capsys.readouterr().out
    assert "aaaaaaaaaaaa" in out and "a" * 13 not in out
    assert f"fedcart data versions --party shop-b --recipe {named} says" in out


@pytest.mark.parametrize(
    ("then", "here", "said"),
    [
        (HERE, Checkout("a" * 40, modified=False, constraints_sha256=None), ""),
        (None, Checkout("a" * 40, modified=False, constraints_sha256=None), "not known which commit"),
        (
            HERE.model_copy(update={"modified": True}),
            Checkout("a" * 40, modified=False, constraints_sha256=None),
            "with changes that no commit holds",
        ),
        (HERE, Checkout("b" * 40, modified=False, constraints_sha256=None), "--code-into FOLDER"),
        (HERE, Checkout("a" * 40, modified=True, constraints_sha256=None), "with changes; for the same code"),
        (HERE, Checkout("", modified=False, constraints_sha256=None), "this is code of no commit"),
    ],
)
def test_other_code_is_told_before_anything_is_trained(then, here, said):
    words = code_in_words(then, here)
    assert said in words
    assert bool(said) == bool(words)


@pytest.mark.parametrize(
    ("then", "said"),
    [(None, "by code of no commit"), (HERE.model_copy(update={"modified": True}), "that no commit holds")],
)
def test_code_that_no_commit_holds_cannot_be_checked_out(then, said):
    with pytest.raises(RunConflict, match=said) as caught:
        known_commit("then", then)
    assert caught.value.code == "code-unknown"
    assert known_commit("then", HERE) == HERE.code


def test_the_code_of_a_run_comes_into_a_folder_and_nothing_is_trained(home, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(command, "known_commit", lambda run, _environment: f"commit of {run}")
    monkeypatch.setattr(code_worktree, "check_out_beside", lambda *words: asked.append(words))
    folder = tmp_path / "the code"
    words = ["reproduce", "then", "--code-into", str(folder)]
    told = call_main(monkeypatch, capsys, [*words, "--json"], FEDCART_HOME=str(home))
    assert told.returncode == 0
    assert asked == [("commit of then", folder)]
    steps = json.loads(told.stdout)["steps"]
    assert steps[1] == f"cd '{folder}'"
    assert steps[3] == f"export FEDCART_HOME={home}"
    assert steps[-1] == ".venv/bin/fedcart reproduce then"
    shown = call_main(monkeypatch, capsys, words, FEDCART_HOME=str(home)).stdout.splitlines()
    assert steps == [line.strip() for line in shown[1:]]
