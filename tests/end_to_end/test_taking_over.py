"""Coordinators that take a run over from each other, on the real store; no flow is run for it."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.recording import closing
from fedmodels.protocol.state import Collection
from fedmodels.protocol.steps import Announce, Collect, Decide, Ended, MoveHead, Recall, next_step
from infra.layout import closed_key, head_key, plan_key, receipt_key, round_key
from infra.settings import load_role_settings
from tasks.coordinator.announcing import announce_round
from tasks.coordinator.closing import close_round
from tasks.coordinator.collecting import _in_time, recall_updates
from tasks.coordinator.deciding import admit_updates
from tasks.coordinator.interrupting import fold_interruption, interrupted
from tasks.coordinator.opening import _swap_head, move_head, resume_run
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import create_message
from tests.fedmodels.protocol.builders import plan_for, recipe_for, refused


@pytest.fixture
def take_over(federation, request):
    """Makes coordinators of one run, each of which resumes it."""
    name = f"taken-{sha256_hex(request.node.name.encode())[:8]}"
    plan = plan_for(recipe_for("ab", grace=5.0)).model_copy(update={"run": name})

    def resumed() -> CoordinatorRun:
        run = CoordinatorRun(plan.run, load_role_settings(federation.home, "coordinator"))
        create_message(run.store, plan_key(plan.run), plan)
        resume_run.fn(run)
        return run

    return resumed


def play_to_record(run: CoordinatorRun) -> None:
    """A round in which nobody answers, up to its record."""
    while not isinstance(step := next_step(run.state), MoveHead):
        match step:
            case Announce(announcement):
                run.fold(announce_round.fn(run, announcement))
            case Collect():
                run.fold(Collection(run.state.open_round, (refused("a"), refused("b"))))
            case Decide(announcement, late):
                run.fold(admit_updates.fn(run, announcement, late))
            case Recall(announcement, decision):
                run.fold(recall_updates.fn(run, announcement, decision))
            case _:
                run.fold(close_round.fn(run, run.state.announcement))


def test_the_earlier_of_two_notices_and_moves_nothing(take_over):
    first = take_over()
    play_to_record(first)
    second = take_over()
    assert second.head.epoch == first.head.epoch + 1
    assert isinstance(step := next_step(second.state), MoveHead), "the record of the first one is adopted"
    assert not move_head.fn(first, next_step(first.state).head)
    with pytest.raises(RunConflict) as caught:
        fold_interruption(first)
    assert caught.value.code == "epoch-lost"
    assert move_head.fn(second, step.head)
    assert second.head.round == 1


def test_a_swap_from_an_old_head_is_lost_though_nobody_looked(take_over):
    first = take_over()
    play_to_record(first)
    step = next_step(first.state)
    assert not interrupted(first, now=True)
    take_over()
    with pytest.raises(RunConflict) as caught:
        _swap_head(first, step.head)
    assert caught.value.code == "epoch-lost"


def test_a_run_that_is_closed_meanwhile_ends_and_head_stays(take_over):
    run = take_over()
    play_to_record(run)
    before = run.store.read(head_key(run.run))
    closed = closing(run.head, (), "cancelled", "", "a person said so", 0.0)
    create_message(run.store, closed_key(run.run), closed)
    assert not move_head.fn(run, next_step(run.state).head)
    fold_interruption(run)
    assert next_step(run.state) == Ended(closed)
    assert run.store.read(head_key(run.run)) == before
    with pytest.raises(RunConflict, match="cancelled and cannot be resumed"):
        take_over()


def test_a_record_that_was_changed_is_refused_by_name(take_over):
    run = take_over()
    play_to_record(run)
    move_head.fn(run, next_step(run.state).head)
    key = round_key(run.run, 1, "record")
    record = run.records[0].model_copy(update={"accepted": ("a",)})
    run.store.put_blob(key, canonical_json(record))
    with pytest.raises(IntegrityError, match="The record of round 1") as caught:
        take_over()
    assert caught.value.code == "chain-broken"


def test_what_came_in_time_counts_though_it_is_seen_late(take_over):
    """The store says how old a receipt is; a round that was announced long ago has no place for a new one."""
    run = take_over()
    run.fold(announce_round.fn(run, next_step(run.state).announcement))
    announcement = run.state.announcement
    key = receipt_key("a", run.run, 1)
    assert _in_time(run, announcement, "a", key) is None
    announced = round_key(run.run, 1, "announcement")
    assert _in_time(run, announcement, "a", announced) is not None, "it is as old as the announcement"
    run.watch.begin -= announcement.round_timeout + 60
    run.watch._arrived.clear()
    assert _in_time(run, announcement, "a", announced) is None, "it came a minute after the deadline"


def test_a_resumed_round_has_one_more_grace(take_over):
    first = take_over()
    first.fold(announce_round.fn(first, next_step(first.state).announcement))
    assert first.watch.resumed_at is None
    second = take_over()
    assert isinstance(next_step(second.state), Collect)
    assert 0.0 <= second.watch.resumed_at < 60.0


def test_of_two_resumes_at_once_one_wins(take_over):
    """Both read the same HEAD, and swap in the same epoch."""
    begun = take_over()
    rivals = [CoordinatorRun(begun.run, load_role_settings(begun.home, "coordinator")) for _ in range(2)]
    both_have_read = threading.Barrier(2)
    for rival in rivals:
        rival.hold = waiting_once(rival.hold, both_have_read)
    with ThreadPoolExecutor(2) as threads:
        tries = [threads.submit(resume_run.fn, rival) for rival in rivals]
    errors = [attempt.exception() for attempt in tries]
    assert sorted(error.code for error in errors if error) == ["epoch-lost"]
    (winner,) = [rival for rival, error in zip(rivals, errors, strict=True) if error is None]
    assert winner.head.epoch == begun.head.epoch + 1
    assert not interrupted(winner, now=True)


def waiting_once(hold, barrier):
    """Between a resume's look at HEAD and its swap, wait for the other one to have looked."""
    waits = iter((barrier.wait,))

    def held(*arguments):
        hold(*arguments)
        if wait := next(waits, None):
            wait(timeout=30)

    return held


def test_a_run_that_lies_where_another_one_should_is_not_resumed(take_over):
    run = take_over()
    copied = CoordinatorRun("copied-1", load_role_settings(run.home, "coordinator"))
    with pytest.raises(InputError) as unknown:
        resume_run.fn(copied)
    assert unknown.value.code == "run-unknown"
    run.store.create(plan_key("copied-1"), run.store.read(plan_key(run.run)))
    with pytest.raises(IntegrityError) as foreign:
        resume_run.fn(copied)
    assert foreign.value.code == "run-foreign"


def test_a_resume_with_another_recipe_names_what_differs(federation, take_over):
    run = take_over()
    other = federation.recipe("changed", num_rounds=7)
    refused = federation.call("train", "--resume", run.run, "--recipe", str(other), "--json")
    assert refused.returncode == 2
    error = json.loads(refused.stdout)["error"]
    assert error["code"] == "recipe-changed"
    assert "num_rounds" in error["message"]
