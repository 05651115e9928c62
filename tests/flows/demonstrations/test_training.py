"""What a demonstration stops, and what it leaves behind."""

import re
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from fedmodels.errors import StoreLost
from fedmodels.recipe import Recipe
from flows.data_preparation import DataManifest
from flows.demonstrations import training
from flows.demonstrations.training import Wanted, bring_up, demonstrate
from flows.reports import read_report
from infra.local.endings import PATIENCE_S
from infra.local.plan import Stack, write_stack
from infra.local.seaweedfs import StorePorts

PARTIES = ("electronics-shop-north", "electronics-shop-south")
TABLES = {party: {"train": f"{party}.csv"} for party in PARTIES}


@pytest.fixture
def noted(monkeypatch):
    """What a demonstration did to the stack: its steps are noted instead of taken, and train nothing."""
    noted = []
    monkeypatch.setattr(training, "bring_up", lambda *_arguments, **_chosen: noted.append("up"))

    def down(_home, patience, in_use):
        noted.append(("in use" if in_use(("a flow run",)) else "down", patience))

    monkeypatch.setattr(training, "down", down)
    monkeypatch.setattr(training, "users", lambda _home, _going, _own: [])
    monkeypatch.setattr(training, "measured_ids", lambda _home: [1])  # a store for another command
    monkeypatch.setattr(
        training, "_train", lambda *_arguments, **_flags: ({"run_id": "r-1", "status": "finished"}, 1.0)
    )
    return noted


def wanted(home, **flags) -> Wanted:
    return Wanted(
        Recipe(name="r", data={"parties": TABLES, "coordinator": {"table": "o.csv"}}), home, **flags
    )


def test_a_stack_that_somebody_else_uses_by_the_end_stays_up_and_says_why(tmp_path, monkeypatch, noted):
    asked, said = [], []

    def users(_home, going, own_runs):
        asked.append((going, own_runs))
        return ["fedcart train of other-1"]

    monkeypatch.setattr(training, "stands", lambda _home: False)
    monkeypatch.setattr(training, "users", users)
    monkeypatch.setattr(training, "train_alone", lambda *_arguments, **_flags: {})
    demonstrate(wanted(tmp_path, baselines=True), said.append, nullcontext)
    assert noted == ["up", ("in use", training.ENDING_S)]
    assert said[-1] == (
        "the stack stays up, since it is used by fedcart train of other-1; stop it with fedcart down"
    )
    ((going, own_runs),) = asked
    assert going == ("a flow run",)
    assert [re.sub(r"-\d{8}-\d{6}$", "", run) for run in own_runs] == [
        "r",
        "alone-1-electro",
        "alone-2-electro",
    ]


def test_bucket_and_database_of_the_settings_are_the_stacks(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "prepare_data", lambda *_arguments: SimpleNamespace(warning=""))
    given = []
    monkeypatch.setattr(training, "up", lambda *_arguments, **options: given.append(options))
    write_stack(Stack(tmp_path, "fedcart", PARTIES, 1, StorePorts(2, 3, 4, 5, 6)))
    said = []
    bring_up(wanted(tmp_path).recipe, tmp_path, said.append, bucket="other", database="postgresql://db/x")
    assert (given[0]["bucket"], given[0]["database"]) == ("other", "postgresql://db/x")
    assert said == [
        "the bucket is other from now on; runs and releases in fedcart stay there, and are seen again with "
        "FEDCART_BUCKET=fedcart"
    ]


@pytest.mark.parametrize(
    ("stood", "keep", "steps"),
    [(False, False, ["up", ("down", training.ENDING_S)]), (True, False, ["up"]), (False, True, ["up"])],
)
def test_what_was_started_is_stopped_and_a_store_alone_is_no_stack(
    tmp_path, monkeypatch, noted, stood, keep, steps
):
    monkeypatch.setattr(training, "stands", lambda _home: stood)
    demonstrate(wanted(tmp_path, keep=keep), print, nullcontext)
    assert noted == steps


def test_the_result_is_kept_before_the_parties_train_alone(tmp_path, monkeypatch, noted):
    def interrupted(*_arguments, goes_down):
        assert goes_down
        assert read_report(tmp_path, "r-1")["seconds"]["startup"] == 1.0
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "stands", lambda _home: False)
    monkeypatch.setattr(training, "train_alone", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demonstrate(wanted(tmp_path, baselines=True), print, nullcontext)
    assert noted == ["up", ("down", PATIENCE_S)]
    assert "baselines" not in read_report(tmp_path, "r-1")


def test_what_the_parties_got_alone_comes_into_the_report(tmp_path, monkeypatch, noted):
    scores = {"shop-a": {"accuracy": 0.5, "macro_f1": 0.4, "loss": 0.9, "num_examples": 10}, "shop-b": None}
    monkeypatch.setattr(training, "stands", lambda _home: True)
    monkeypatch.setattr(training, "train_alone", lambda *_arguments, **_flags: scores)
    assert demonstrate(wanted(tmp_path, baselines=True), print, nullcontext)["baselines"] == scores
    assert read_report(tmp_path, "r-1")["baselines"] == scores


def test_a_demonstration_says_what_preparing_warns_of(monkeypatch, tmp_path):
    prepared = DataManifest(
        recipe="tiny", unchanged=True, source=None, labels=(), coordinator={}, parties={}, cleaned={},
        warning="Few rows.",
    )  # fmt: skip
    monkeypatch.setattr(training, "prepare_data", lambda *_arguments: prepared)
    monkeypatch.setattr(training, "up", lambda *_arguments, **_more: None)
    said = []
    bring_up(wanted(tmp_path).recipe, tmp_path, said.append)
    assert said == ["Few rows."]


@pytest.mark.parametrize(
    ("stood", "told"),
    [
        (False, r"is stopped under it, and the run stays open; .*fedcart train --resume r-"),
        (True, r"it goes on"),
    ],
)
def test_a_run_whose_stack_is_stopped_under_it_is_named(tmp_path, monkeypatch, noted, stood, told):
    def lost(*_arguments):
        raise StoreLost("The run r-1 is watched no longer; it goes on")

    monkeypatch.undo()
    monkeypatch.setattr(training, "stands", lambda _home: stood)
    monkeypatch.setattr(training, "measured_ids", lambda _home: [1])
    monkeypatch.setattr(training, "bring_up", lambda *_arguments, **_named: None)
    monkeypatch.setattr(training, "using", lambda *_arguments: nullcontext())
    monkeypatch.setattr(training, "down", lambda _home, **_named: noted.append("down"))
    monkeypatch.setattr(training, "begin", lambda *_arguments: "flow run")
    monkeypatch.setattr(training, "follow", lost)
    with pytest.raises(StoreLost, match=told):
        demonstrate(wanted(tmp_path), print, nullcontext)
    assert noted == ([] if stood else ["down"])
