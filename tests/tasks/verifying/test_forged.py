"""Runs whose hashes and signatures all agree, and which the rules of a round forbid.

Whoever holds the coordinator's credentials can write such a run. What it breaks is named. That the honest
ones hold is shown by `finished_run`, and here where it lacks the case.
"""

from itertools import count

import pytest

from fedmodels.protocol.messages import Candidate, StandingChampion
from infra.layout import evaluation_key, round_key
from tasks.verifying.run import verify_run
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

A, B, C = PARTIES
EVERYONE = dict.fromkeys(PARTIES, 1)
NUMBERS = count(1)


@pytest.fixture
def begun(bucket_home):
    """Begin a run of its own with this recipe."""

    def begin(**changes) -> FinishedRun:
        number = next(NUMBERS)
        return FinishedRun(bucket_home, f"forged-{number}", 100 + number, {"num_rounds": 9, **changes})

    return begin


@pytest.fixture
def told(tmp_path):
    """What does not hold in a run, by the last two parts of its key: verdict and detail."""

    def tell(run: FinishedRun) -> dict[str, tuple[str, str]]:
        found = [item for item in verify_run(run.store, run.run, tmp_path).findings if not item.holds]
        folder = round_key(run.run, 1, "").rpartition("/")[0].rpartition("/")[0]
        return {item.object.removeprefix(f"{folder}/"): (item.verdict, item.detail) for item in found}

    return tell


def test_a_cohort_that_was_not_drawn_is_named(begun, told):
    run = begun()
    run.play(1, {A: 1, B: 1}, accuracy=0.7, cohort=(A, B))
    asked = "cohort is (shop-a, shop-b), not (shop-a, shop-b, shop-c)"
    decided = "it is about shop-a, shop-b, and the round's draw is shop-a, shop-b, shop-c"
    assert told(run) == {
        "0001/announcement.json": ("changed", asked),
        "0001/decision.json": ("disagrees", decided),
    }


@pytest.mark.parametrize("asked", [(A, C), PARTIES])
def test_who_was_dropped_is_left_out_of_the_next_round(begun, told, asked):
    run = begun(gate={"after_refusal": "drop", "max_loss": 0.5})
    run.play(1, EVERYONE, accuracy=0.7, dropped=B)
    run.play(2, dict.fromkeys(asked, 2), accuracy=0.9, cohort=asked)
    wrong = set() if asked == (A, C) else {"0002/announcement.json", "0002/decision.json"}
    assert set(told(run)) == wrong


def test_nobody_is_dropped_against_the_recipe(begun, told):
    run = begun(gate={"after_refusal": "retry", "max_loss": 0.5})
    run.play(1, EVERYONE, accuracy=0.7, dropped=B)
    wrong = "it drops shop-b, and may not: after_refusal is retry, 3 updates count"
    assert told(run) == {"0001/record.json": ("disagrees", wrong)}


def test_what_a_party_said_of_the_champion_is_on_record(begun, told):
    run = begun()
    run.champion, run.champion_accuracy = StandingChampion(run="before", model_sha256="c" * 64), 0.6
    run.play(1, EVERYONE, accuracy=0.7)
    assert told(run) == {}
    run.champion_accuracy = 0.2
    run.stores[A].delete(evaluation_key(A, run.run, 1))
    candidate = Candidate.model_validate_json(run.store.read(round_key(run.run, 1, "candidate")))
    run.evaluate(candidate, A, 0.7)
    key = evaluation_key(A, run.run, 1)
    assert told(run) == {key: ("changed", "its scores of the champion are not those of the record")}


def test_a_round_that_had_its_quorum_did_not_miss_it(begun, told):
    run = begun()
    run.play(1, {A: 1, B: 1}, {C: "late"})
    wrong = "its outcome is quorum-missed, but 2 updates of its own round count, and 2 are required"
    assert told(run) == {"0001/record.json": ("disagrees", wrong)}


def test_a_round_without_its_quorum_does_not_go_on(begun, told):
    run = begun()
    run.play(1, {A: 1}, {B: "late", C: "late"}, accuracy=0.7)
    wrong = "it went on without its quorum: 1 updates of its own round count, and 2 are required"
    assert told(run) == {"0001/record.json": ("disagrees", wrong)}


@pytest.mark.parametrize("discount", [2**-0.5, 1.0])
def test_a_discount_follows_from_the_staleness(begun, told, discount):
    run = begun()
    run.play(1, {A: 1, C: 1}, {B: "late"}, accuracy=0.7, late=(B,))
    run.play(2, {A: 2, B: 1, C: 2}, {B: "late"}, accuracy=0.75, discount=discount)
    wrong = ("disagrees", "the discount of shop-b is 1, not 0.707107")
    assert told(run) == ({"0002/decision.json": wrong} if discount == 1.0 else {})


def test_what_was_there_in_time_is_not_salvaged(begun, told):
    run = begun(salvage={"exponent": 0.0})
    run.announce(1)
    for party in PARTIES:
        run.submit(party, 1)
    decision = run.decide(1, {A: 1, C: 1}, {B: "wrong-base"})
    run.close_round(decision, run.propose(decision, 0.7, tuned=False), {})
    run.play(2, {A: 2, B: 1, C: 2}, {B: "late"}, accuracy=0.75)
    wrong = "it salvages what shop-b sent to round 1, and may not"
    assert told(run) == {"0002/decision.json": ("disagrees", wrong)}


def test_what_was_counted_counts_in_no_other_decision(begun, told):
    run = begun(salvage={"exponent": 0.0})
    run.play(1, EVERYONE, accuracy=0.7)
    run.play(2, {A: 2, B: 1, C: 2}, {B: "late"}, accuracy=0.75)
    found = told(run)
    assert list(found) == ["0002/decision.json"]
    assert "what shop-b sent to round 1 was counted already, in round 1" in found["0002/decision.json"][1]
