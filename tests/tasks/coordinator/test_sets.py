"""A run goes on with the sets that it began with, or not at all."""

from types import SimpleNamespace

import pytest

from fedmodels.data.pinned import pin
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import write_table
from fedmodels.errors import InputError, RunConflict
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Head
from fedmodels.protocol.pages import gate_markdown
from fedmodels.protocol.steps import only_closes
from fedmodels.recipe import SETS
from flows import federated_training
from infra.layout import head_key, plan_key
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings
from tasks.coordinator import closing, sets
from tasks.coordinator.artifacts import _left_out
from tasks.coordinator.closing import close_run
from tasks.coordinator.opening import move_head, resume_run
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sets import load_workbench
from tests.tasks.verifying.finished_run import PARTIES

ROWS = {name: LabelledTexts((f"good {name}", f"bad {name}"), ("good", "bad")) for name in SETS}


@pytest.fixture
def tables(home, tmp_path):
    """Write the coordinator's sets and name them in its settings."""

    def write(sets):
        for name, rows in sets.items():
            write_table(rows, tmp_path / f"{name}.parquet")
        paths = {name: str(tmp_path / f"{name}.parquet") for name in sets}
        update_role_settings(home, "coordinator", {"tables": {"tiny": paths}})

    write(ROWS)
    yield write
    update_role_settings(home, "coordinator", {"tables": {"tiny": dict.fromkeys(SETS)}})


def resumed(home, played, *, pinned):
    """Resume the run as a coordinator that starts now; return HEAD's epoch."""
    if pinned:
        plan = played.plan.model_copy(update={"sets": {name: pin(rows) for name, rows in ROWS.items()}})
        played.store.delete(plan_key(played.run))
        assert played.store.create(plan_key(played.run), canonical_json(plan)) == canonical_json(plan)
    run = CoordinatorRun(played.run, load_role_settings(home, "coordinator"))
    try:
        resume_run.fn(run)
    finally:
        epoch = Head.model_validate_json(played.store.read(head_key(played.run))).epoch
    return epoch


def test_the_same_sets_go_on(home, played, tables):
    assert resumed(home, played, pinned=True) == 2


@pytest.mark.parametrize("name", SETS)
def test_another_set_is_refused_before_the_run_is_taken_over(home, played, tables, name):
    tables({**ROWS, name: ROWS[name].take([1, 0])})
    with pytest.raises(RunConflict) as caught:
        resumed(home, played, pinned=True)
    assert caught.value.code == "sets-changed"
    assert str(caught.value) == (
        f"The coordinator's rows for {name} are not those with which {played.run} began; "
        "put its old table back and run fedcart data prepare, or start a new run."
    )
    assert Head.model_validate_json(played.store.read(head_key(played.run))).epoch == 1
    tables(ROWS)
    assert resumed(home, played, pinned=False) == 2, "the old rows are back"


@pytest.fixture(params=["HEAD follows the last record", "the last record stands alone"])
def all_but_closed(request, home, played):
    """A run of which nothing but `closed.json`, or that and HEAD, is left to write."""
    for number in (1, 2, 3):
        before = played.store.read(head_key(played.run))
        played.play(number, dict.fromkeys(PARTIES, 1), accuracy=0.6 + number / 20)
    if request.param == "the last record stands alone":
        played.store.put_blob(head_key(played.run), before)
    return played


def test_a_run_that_only_has_to_be_closed_needs_no_set(home, all_but_closed, tables, monkeypatch):
    """Neither the rows that judged it nor, where there are no tables any more, any at all."""
    update_role_settings(home, "coordinator", {"tables": {"tiny": dict.fromkeys(SETS)}})
    assert resumed(home, all_but_closed, pinned=True) == 2
    run = CoordinatorRun(all_but_closed.run, load_role_settings(home, "coordinator"))
    resume_run.fn(run)
    assert only_closes(run.state)
    shown, folders = [], []
    monkeypatch.setattr(federated_training, "move_head", move_head.fn)
    monkeypatch.setattr(federated_training, "close_run", close_run.fn)
    monkeypatch.setattr(federated_training, "wait", lambda _futures: None)
    monkeypatch.setattr(federated_training.show_round, "submit", lambda run, record: shown.append(record))
    monkeypatch.setattr(closing, "write_model_folder", lambda *given: folders.append(given[2]))
    closed = federated_training.play(run)
    assert (closed.status, closed.rounds, closed.model_sha256) == ("finished", 3, run.head.best_model_sha256)
    assert folders == [closed.model_sha256]
    for record in shown:
        assert "left out" not in gate_markdown(record, left_out=_left_out(run, record))
    assert not run.sets


def test_a_round_that_is_left_needs_them(home, played, tables):
    for number in (1, 2):
        played.play(number, dict.fromkeys(PARTIES, 1), accuracy=0.6 + number / 20)
    update_role_settings(home, "coordinator", {"tables": {"tiny": dict.fromkeys(SETS)}})
    with pytest.raises(InputError) as caught:
        resumed(home, played, pinned=True)
    assert caught.value.code == "table-missing"


def test_a_plan_of_before_the_pins_goes_on_with_any_set(home, played, tables):
    tables({name: rows.take([1]) for name, rows in ROWS.items()})
    assert resumed(home, played, pinned=False) == 2


def test_a_label_that_the_plan_does_not_know_ends_the_resume_with_a_code(run, tables, home, monkeypatch):
    """What a plan without pins lets through; it was a KeyError in every resume."""
    tables({**ROWS, "public": LabelledTexts(("fine",), ("4",))})
    bench = SimpleNamespace(index={"bad": 0, "good": 1}, encode=lambda _rows: None)
    monkeypatch.setattr(sets, "open_workbench", lambda *_, **_named: bench)
    run.tables = load_role_settings(home, "coordinator").tables
    with pytest.raises(InputError, match="of the coordinator's public set 1 has a label that") as caught:
        load_workbench.fn(run)
    assert caught.value.code == "labels-unknown"
    tables(ROWS)
    run.sets.clear()
    assert load_workbench.fn(run) == run.plan.architecture_sha256
