"""Whose sessions a coordinator starts, and when; and when a schedule's training is left out."""

import errno
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from prefect.exceptions import TerminationSignal

from fedmodels.errors import QuorumMissed, RunConflict, TooManyFailures
from fedmodels.protocol.retraining import RunAge, check_alone
from fedmodels.protocol.steps import (
    Announce,
    CloseRun,
    Collect,
    Commit,
    Decide,
    Ended,
    Judge,
    MoveHead,
    Propose,
    Recall,
)
from flows import federated_training
from flows.federated_training import conduct
from infra.deployments.declaration import training_called


@pytest.fixture
def steps(monkeypatch):
    """The names of the steps that are taken, up to loading the workbench."""
    taken = []

    def stop(run):
        raise RunConflict("Far enough")

    monkeypatch.setattr(federated_training, "race_store", lambda run: taken.append("race"))
    monkeypatch.setattr(federated_training, "start_session", lambda run, party: taken.append(party))
    monkeypatch.setattr(
        federated_training, "open_run", lambda run, recipe, parties, *_where: taken.append("open")
    )
    monkeypatch.setattr(federated_training, "resume_run", lambda run: taken.append("resume"))
    monkeypatch.setattr(federated_training, "only_closes", lambda state: state == "all rounds are closed")
    monkeypatch.setattr(federated_training, "load_workbench", stop)
    monkeypatch.setattr(federated_training, "play", lambda run: taken.append("play") or stop(run))
    return taken


def conducted(steps, *, resume, state="a round is open"):
    run = SimpleNamespace(plan=SimpleNamespace(parties={"shop-a": "", "shop-b": ""}), state=state)
    with pytest.raises(RunConflict):
        conduct(run, None, ("shop-a", "shop-b", "shop-c"), resume=resume)
    return steps


def test_a_new_run_starts_those_that_were_chosen_while_it_is_opened(steps):
    assert conducted(steps, resume=False) == ["race", "shop-a", "shop-b", "shop-c", "open"]


def test_a_resume_starts_the_plans_parties_once_the_run_is_known_to_be_open(steps):
    assert conducted(steps, resume=True) == ["race", "resume", "shop-a", "shop-b"]


def test_a_resume_that_only_closes_the_run_starts_nobody_and_loads_no_set(steps):
    assert conducted(steps, resume=True, state="all rounds are closed") == ["race", "resume", "play"]


def test_a_resume_of_a_run_that_is_over_starts_nobody(steps, monkeypatch):
    def over(run):
        raise RunConflict("It is over")

    monkeypatch.setattr(federated_training, "resume_run", over)
    assert conducted(steps, resume=True) == ["race"]


@pytest.mark.parametrize(
    ("left", "waited_before"),
    [
        (["propose", "commit", "head", "close"], None),
        (["recall", "judge alone", "commit", "head", "announce", "collect", "announce"], "announce"),
        (["collect", "decide"], "collect"),
        (["propose", "judge", "commit"], "judge"),
    ],
)
def test_the_parties_are_waited_for_once_before_something_is_asked_of_them(monkeypatch, left, waited_before):
    steps = {
        "announce": Announce(None),
        "collect": Collect(None, ()),
        "decide": Decide(None, ()),
        "recall": Recall(None, None),
        "propose": Propose(None),
        "judge": Judge(None, ("shop-a",)),
        "judge alone": Judge(None, ()),
        "commit": Commit(None),
        "head": MoveHead(None, None),
        "close": CloseRun("finished", "", ""),
    }
    names = {id(step): name for name, step in steps.items()}
    planned, taken = iter([*(steps[name] for name in left), Ended(None)]), []
    plan = SimpleNamespace(parties=("shop-a",), recipe=SimpleNamespace(min_available_parties=1))
    run = SimpleNamespace(plan=plan, state=None, fold=lambda found: None)
    monkeypatch.setattr(federated_training, "fold_interruption", lambda run: None)
    monkeypatch.setattr(federated_training, "next_step", lambda state: next(planned))
    monkeypatch.setattr(federated_training, "move_head", lambda run, head: taken.append("head"))
    monkeypatch.setattr(federated_training, "await_sessions", lambda *_arguments: taken.append("wait"))
    monkeypatch.setattr(federated_training, "take", lambda run, step: taken.append(names[id(step)]))
    federated_training.play(run)
    expected = list(left)
    if waited_before:
        expected.insert(left.index(waited_before), "wait")
    assert taken == expected


@pytest.fixture
def begin(monkeypatch):
    """The flow up to conducting; notes what was looked for and started beside the runs that are open."""
    noted = SimpleNamespace(open=[], living={"reviews-by-hand"}, steps=[], stopped=[])

    def look(run, recipe):
        noted.steps.append(("look", recipe))
        check_alone(recipe, noted.open, noted.living)

    def start(run, recipe, parties):
        noted.steps.append(("start", run.run, recipe, parties))

    monkeypatch.setattr(federated_training, "load_settings", lambda: None)
    monkeypatch.setattr(federated_training, "CoordinatorRun", lambda run, _: SimpleNamespace(run=run))
    monkeypatch.setattr(federated_training, "stop_waiting", lambda run: noted.stopped.append(run.run))
    monkeypatch.setattr(federated_training, "check_no_training", look)
    monkeypatch.setattr(federated_training, "start_scheduled", start)
    monkeypatch.setattr(federated_training, "conduct", lambda *_, **__: {"status": "finished"})
    monkeypatch.setattr(federated_training, "silence_tracebacks", lambda: None)
    noted.run = lambda **given: federated_training.federated_training.fn("reviews", **given)
    return noted


def test_a_schedule_starts_a_training_and_does_not_wait_for_it(begin):
    state = begin.run()
    assert (state.name, state.is_completed()) == ("Started", True)
    look, (start, run, recipe, parties) = begin.steps
    assert (look, start, recipe) == (("look", "reviews"), "start", "reviews")
    assert run.startswith("reviews-")
    assert parties == ("camera-shop", "dvd-shop", "music-shop", "phone-shop")


def test_a_training_by_schedule_is_left_out_while_another_one_is_open(begin):
    begin.open = [RunAge("reviews-by-hand", 5.0, open=True)]
    state = begin.run()
    assert (state.name, state.is_completed()) == ("LeftOut", True)
    assert state.message.startswith("training-open: The run reviews-by-hand of reviews has been open for 5 s")
    assert begin.steps == [("look", "reviews")]


def test_a_training_by_schedule_fails_while_a_run_is_open_that_nobody_conducts(begin):
    begin.open, begin.living = [RunAge("reviews-by-hand", 5.0, open=True)], set()
    state = begin.run()
    assert state.is_failed()
    assert state.message.startswith("training-stopped: The run reviews-by-hand of reviews has been open")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (QuorumMissed("Too few parties"), "quorum-missed"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
    ],
)
def test_threads_that_wait_for_parties_end_with_a_run_that_fails(begin, monkeypatch, fault, code):
    monkeypatch.setattr(federated_training, "conduct", raising(fault))
    state = begin.run(run="mine")
    assert state.is_failed()
    assert state.message.startswith(f"{code}: ")
    assert begin.stopped == ["mine"]


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.EIO, "Input/output error"), RuntimeError("nobody foresaw this"), TerminationSignal(15)],
    ids=lambda fault: type(fault).__name__,
)
def test_and_with_one_that_ends_in_a_way_that_nobody_foresaw(begin, monkeypatch, fault):
    """The process waits for them: it would look alive, and nobody would resume its run."""
    monkeypatch.setattr(federated_training, "conduct", raising(fault))
    with pytest.raises(type(fault)):
        begin.run(run="mine")
    assert begin.stopped == ["mine"]


def raising(fault):
    def fail(*_arguments, **_flags):
        raise fault

    return fail


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_a_person_or_a_retraining_named_begins_all_the_same(begin, resume):
    begin.open = [RunAge("reviews-by-hand", 5.0, open=True)]
    assert begin.run(run="mine", resume=resume) == {"status": "finished"}
    assert begin.steps == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"run": "mine"}, "federated-training · mine"),
        ({}, "scheduled training · reviews-20260102-020000"),
        ({"run": "No Id"}, "federated-training"),
    ],
)
def test_what_a_schedule_began_is_not_taken_for_the_training_that_it_starts(monkeypatch, given, name):
    moment = datetime(2026, 1, 2, 2, tzinfo=UTC)
    flow_run = SimpleNamespace(parameters={"recipe": "reviews", **given}, scheduled_start_time=moment)
    monkeypatch.setattr(federated_training, "flow_run", flow_run)
    assert federated_training.name_of_flow_run() == name
    assert training_called(name) == (given["run"] if name.endswith("mine") else None)


@pytest.mark.parametrize("status", ["finished", "cancelled", "failed"])
def test_working_files_go_with_a_run_that_is_closed(monkeypatch, status):
    left = []
    for name in ("race_store", "load_workbench", "start_sessions", "open_run", "show_run"):
        monkeypatch.setattr(federated_training, name, lambda *_arguments: None)
    closed = SimpleNamespace(status=status, reason="", code="", model_sha256="0" * 64)
    monkeypatch.setattr(federated_training, "play", lambda run: closed)
    monkeypatch.setattr(federated_training, "leave_closed_run", lambda *arguments: left.append(arguments))
    run = SimpleNamespace(run="mine", store_for_looks="store", workspace="folder")
    with pytest.raises(TooManyFailures) if status == "failed" else nullcontext():
        conduct(run, None, ("shop-a",), resume=False)
    assert left == [("store", "folder", run)]


def test_working_files_stay_with_a_run_that_stopped_and_can_be_resumed(monkeypatch):
    def stop(_run):
        raise QuorumMissed("Too few parties")

    for name in ("race_store", "load_workbench", "start_sessions", "open_run"):
        monkeypatch.setattr(federated_training, name, lambda *_arguments: None)
    monkeypatch.setattr(federated_training, "play", stop)
    monkeypatch.setattr(federated_training, "leave_closed_run", lambda *_arguments: pytest.fail("it is open"))
    with pytest.raises(QuorumMissed):
        conduct(SimpleNamespace(run="mine"), None, ("shop-a",), resume=False)
