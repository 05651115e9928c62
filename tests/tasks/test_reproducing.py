"""A run that is over and its repetition, in the real store: what is the same, and what differs first."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fedmodels.errors import FedcartError
from fedmodels.identifiers import check_identifier
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.reproduction import Difference, PlayedRun, environment_differences, first_difference
from infra.layout import plan_key, round_key
from tasks.cancelling import cancel_run
from tasks.reproducing import _repetition, next_name, read_played
from tests.fedmodels.protocol.test_lineage import ELSEWHERE, HERE
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, finished_run


@pytest.fixture(scope="module")
def then(home) -> PlayedRun:
    """Passed, fine-tuned, refused by the gate, without a quorum, and passed with an update of before."""
    return read_played(finished_run(home, "then").store, "then")


@pytest.fixture(scope="module")
def now(home) -> PlayedRun:
    return read_played(finished_run(home, "now").store, "now")


def with_round(run: PlayedRun, number: int, **changed) -> PlayedRun:
    """The run with something else in one of its rounds."""
    rounds = list(run.rounds)
    rounds[number - 1] = replace(rounds[number - 1], **changed)
    return replace(run, rounds=tuple(rounds))


def with_receipt(run: PlayedRun, number: int, party: str, **facts) -> PlayedRun:
    receipts = run.rounds[number - 1].receipts
    changed = receipts[party].model_copy(update=facts)
    return with_round(run, number, receipts={**receipts, party: changed})


def test_two_runs_of_the_same_are_the_same_whatever_their_names_and_times(then, now):
    assert (then.plan.run, len(then.rounds)) == ("then", 5)
    assert first_difference(then, now) is None
    assert environment_differences(then, now) == ()


def test_what_differs_first_is_named_and_not_what_follows_from_it(then, now):
    ours, theirs = (f"{digit}" * 64 for digit in "ab")
    one, other = (
        with_receipt(with_receipt(run, 2, "shop-b", data_hash=digest), 1, "shop-a", data_hash="c" * 64)
        for run, digest in ((then, ours), (now, theirs))
    )
    assert first_difference(one, other) == Difference("round 2 · shop-b", "training rows", ours, theirs)
    average = then.rounds[1].candidate.model_copy(update={"aggregate_sha256": ours})
    found = first_difference(with_round(one, 2, candidate=average), other)
    assert found.what == "training rows", "the average follows from them"
    found = first_difference(with_round(then, 2, candidate=average), now)
    assert (found.where, found.what, found.then) == ("round 2", "average", ours)


def test_an_update_that_came_late_this_time_is_named_by_who_counts(then, now):
    decision = now.rounds[0].decision
    late = decision.model_copy(update={"accepted": decision.accepted[:2]})
    found = first_difference(then, with_round(now, 1, decision=late))
    parties = ", ".join(PARTIES)
    assert found == Difference("round 1", "parties that count", parties, "shop-a, shop-b")


def test_shares_differ_before_the_updates_that_were_made_of_as_many_rows(then, now):
    first, *others = now.rounds[0].decision.accepted
    heavier = first.model_copy(update={"weight": 0.5, "update_sha256": "e" * 64})
    decision = now.rounds[0].decision.model_copy(update={"accepted": (heavier, *others)})
    found = first_difference(then, with_round(now, 1, decision=decision))
    assert (found.where, found.what, found.now) == ("round 1 · shop-a", "share of the average", "0.5")


@pytest.mark.parametrize(
    ("changed", "place", "what"),
    [
        ({"labels": ("bad", "fine")}, "the plan", "labels"),
        ({"base_model_sha256": "d" * 64}, "the plan", "base model"),
        ({"architecture_sha256": "d" * 64}, "the plan", "architecture"),
        ({"parties": {"shop-a": "key"}}, "the plan", "parties"),
    ],
)
def test_what_a_plan_fixes_comes_first(then, now, changed, place, what):
    found = first_difference(then, replace(now, plan=now.plan.model_copy(update=changed)))
    assert (found.where, found.what) == (place, what)


def test_the_coordinators_rows_are_compared_where_both_plans_pin_them(then, now):
    pinned = {"public": {"rows": 3, "sha256": "a" * 64}}
    plan = now.plan.model_validate({**now.plan.model_dump(), "sets": pinned})
    one, other = replace(then, plan=plan), replace(now, plan=plan)
    assert first_difference(then, other) is None, "a plan of before the field pins none"
    moved = {"public": {"rows": 3, "sha256": "b" * 64}}
    other = replace(now, plan=plan.model_validate({**plan.model_dump(), "sets": moved}))
    found = first_difference(one, other)
    assert (found.where, found.what) == ("the coordinator's rows", "public set")


def test_a_run_that_ended_earlier_says_so(then, now):
    found = first_difference(then, replace(now, rounds=now.rounds[:4]))
    assert found == Difference("the run", "rounds", "5", "4")


def test_a_receipt_that_its_party_took_away_is_not_compared(then, now):
    gone = {**now.rounds[0].receipts, "shop-a": None}
    other = with_round(now, 1, receipts=gone)
    assert first_difference(with_receipt(then, 1, "shop-a", data_hash="a" * 64), other) is None


def test_what_either_computed_with_is_told_by_role(then, now):
    one = replace(then, plan=then.plan.model_copy(update={"environment": HERE}))
    one = with_receipt(one, 1, "shop-b", environment=HERE)
    other = replace(now, plan=now.plan.model_copy(update={"environment": HERE}))
    other = with_receipt(other, 1, "shop-b", environment=ELSEWHERE)
    assert environment_differences(one, other) == (
        Difference("shop-b", "instruction_set", "AVX512", "AVX2"),
        Difference("shop-b", "threads", "2", "1"),
    )
    assert environment_differences(then, other) == (), "of which the first run tells nothing"


def test_a_name_that_no_run_has(home, then):
    store = FinishedRun(home, "reviews-20261126-143322").store
    assert next_name(store, "reviews-20261126-143322") == "reviews-20261126-143322-again-1"
    again = FinishedRun(home, "then-again-1")
    assert next_name(store, "then") == "then-again-2"
    assert next_name(store, "then-again-1") == "then-again-1-again-1", "somebody's own name for a run"
    repeats = again.plan.model_copy(update={"repeats": "then"})
    store.put_blob(plan_key("then-again-1"), canonical_json(repeats))
    assert next_name(store, "then-again-1") == "then-again-2", "a repetition of a repetition counts on"
    pruned = again.plan.model_copy(update={"repeats": "gone-1"})
    store.put_blob(plan_key("then-again-1"), canonical_json(pruned))
    assert next_name(store, "then-again-1") == "then-again-1-again-1"


@pytest.mark.parametrize("count", [1, 9, 10, 100])
def test_a_name_is_an_id_and_tells_apart_the_runs_of_one_recipe(monkeypatch, count):
    runs = [f"fifteen-letters-20261126-1433{second}" for second in (21, 22)]
    monkeypatch.setattr(
        "tasks.reproducing.list_runs",
        lambda _store: [_repetition(run, f"-again-{n}") for run in runs for n in range(1, count)],
    )
    monkeypatch.setattr("tasks.reproducing.read_plan", lambda *_: SimpleNamespace(repeats=None))
    names = [next_name(None, run) for run in runs]
    assert len(set(names)) == 2
    assert all(check_identifier("run", name) for name in names)
    assert [name.split("-again-")[0][-15:] for name in names] == [run[-15:] for run in runs]


def test_only_a_run_that_finished_can_be_made_again(home):
    run = FinishedRun(home, "open-1")
    assert code_of(run, "open-1") == "run-open"
    cancel_run(run.store, "open-1", "enough")
    assert code_of(run, "open-1") == "run-unfinished"
    assert code_of(run, "nobody") == "run-unknown"


def test_a_round_that_was_changed_is_compared_with_nothing(home):
    run = finished_run(home, "rotten")
    run.store.delete(round_key("rotten", 1, "decision"))
    assert code_of(run, "rotten") == "chain-broken"


def code_of(run: FinishedRun, name: str) -> str:
    with pytest.raises(FedcartError) as caught:
        read_played(run.store, name)
    return caught.value.code
