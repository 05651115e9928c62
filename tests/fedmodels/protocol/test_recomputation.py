"""What the rules determine is computed again: each case with what follows from them and what does not."""

import pytest

from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.cohort import draw_cohort
from fedmodels.protocol.messages import AcceptedUpdate, Decision, Refusal
from fedmodels.protocol.progress import opening_head
from fedmodels.protocol.recomputation import (
    cohort_faults,
    drawn_cohort,
    dropping_faults,
    quorum_faults,
    repetition_faults,
    salvage_faults,
)
from fedmodels.protocol.recording import NO_FINITE_AVERAGE
from tests.fedmodels.protocol.builders import BASE, plan_for, recipe_for, record

SALVAGING = recipe_for("abc", salvage={"exponent": 0.5})


def decision(number: int, accepted: str, refused: str = "", **salvaged: tuple[int, float]) -> Decision:
    """`salvaged`: party to the round of its receipt, and the discount."""
    sent = dict.fromkeys(accepted, (number, 1.0)) | salvaged
    updates = [
        AcceptedUpdate(
            party=party,
            receipt_sha256=sha256_hex(f"{party}{own}".encode()),
            update_sha256=BASE,
            num_examples=10,
            weight=1 / len(sent),
            round=None if own == number else own,
            discount=discount,
        )
        for party, (own, discount) in sorted(sent.items())
    ]
    refusals = [Refusal(party=party, code="late", reason="said so") for party in refused]
    return Decision(run="r", round=number, base_sha256=BASE, accepted=tuple(updates), refused=tuple(refusals))


def drawn(records, recipe) -> str:
    head = opening_head("r", BASE).model_copy(update={"round": len(records)})
    return "".join(drawn_cohort(plan_for(recipe), head, records))


def test_the_cohort_is_drawn_from_the_records_alone():
    some = recipe_for("abcdefgh", fraction_train=0.5)
    draws = ["".join(draw_cohort("abcdefgh", 0.5, 2, some.seed, number)) for number in (1, 2, 3)]
    assert len(set(draws)) == 3
    assert drawn([], some) == draws[0]
    assert drawn([record(1)], some) == draws[1]
    assert drawn([record(1), record(2, outcome="gate-refused")], some) == draws[1], "it is tried again"
    everyone = recipe_for("abc")
    late = [record(number, "ab", {"c": "data-refused"}) for number in (1, 2, 3)]
    assert (drawn(late[:2], everyone), drawn(late, everyone)) == ("abc", "ab"), "c rests"
    spoiled = record(1, "abc", outcome="gate-refused").model_copy(update={"dropped": "b"})
    assert drawn([spoiled], everyone) == "ac"


def test_a_decision_is_about_those_who_were_drawn():
    found = decision(2, "ab", refused="c", d=(1, 0.5))
    assert cohort_faults(found, "abc") == ()
    assert cohort_faults(found, "ab") == ("it is about a, b, c, and the round's draw is a, b",)
    assert cohort_faults(found, "abcd"), "d's update is of the round before"


@pytest.mark.parametrize(
    ("outcome", "discount", "expected"),
    [
        *(("passed", 2**-0.5, ""), ("passed", 1.0, "1, not 0.707107"), ("passed", 0.5, "0.5, not 0.707107")),
        *(("gate-refused", 1.0, ""), ("gate-refused", 2**-0.5, "0.707107, not 1")),
    ],
)
def test_a_discount_follows_from_the_staleness(outcome, discount, expected):
    """A model that passed meanwhile makes an update stale by one; a round that was refused by none."""
    records = [record(1, "ab", {"c": "late"}, outcome=outcome)]
    told = (f"the discount of c is {expected}",) if expected else ()
    assert salvage_faults(decision(2, "ab", c=(1, discount)), records, SALVAGING) == told


def test_an_update_of_the_round_itself_has_no_discount():
    assert salvage_faults(decision(1, "a", b=(1, 0.5)), [], SALVAGING) == ("the discount of b is 0.5, not 1",)


@pytest.mark.parametrize("code", ["late", "late-after-resume", "session-died", "wrong-base", "duplicate"])
def test_only_what_was_missing_is_salvaged(code):
    records = [record(1, "ab", {"c": code}, outcome="gate-refused")]
    may = code in ("late", "late-after-resume", "session-died")
    told = () if may else ("it salvages what c sent to round 1, and may not",)
    assert salvage_faults(decision(2, "ab", c=(1, 1.0)), records, SALVAGING) == told


def test_nothing_is_salvaged_from_before_the_last_round_or_against_the_recipe():
    records = [record(1, "ab", {"c": "late"}), record(2, "ab", {"c": "late"}, outcome="gate-refused")]
    assert salvage_faults(decision(3, "ab", c=(2, 1.0)), records, SALVAGING) == ()
    told = ("it salvages what c sent to round 1, and may not",)
    assert salvage_faults(decision(3, "ab", c=(1, 1.0)), records, SALVAGING) == told
    assert salvage_faults(decision(3, "ab", c=(2, 1.0)), records, recipe_for("abc")), "salvage: null"


def test_a_receipt_counts_in_one_decision():
    first, second = decision(1, "ab", refused="c"), decision(2, "ab", c=(1, 0.5))
    assert repetition_faults(second, [first]) == ()
    third = decision(3, "ab", c=(1, 0.5))
    told = ("what c sent to round 1 was counted already, in round 2",)
    assert repetition_faults(third, [first, second]) == told
    assert repetition_faults(decision(2, "a", b=(1, 0.5)), [first])[0].endswith("already, in round 1")
    renamed = third.accepted[0].model_copy(update={"receipt_sha256": first.accepted[1].receipt_sha256})
    copied = third.model_copy(update={"accepted": (renamed,)})
    assert repetition_faults(copied, [first]) == ("what a sent to round 3 was counted already, in round 1",)


def test_a_round_goes_on_with_its_quorum_and_not_without():
    recipe = recipe_for("abc")
    missed = record(1, "a", outcome="quorum-missed")
    assert quorum_faults(missed, decision(1, "a", refused="bc"), recipe) == ()
    told = "its outcome is quorum-missed, but 2 updates of its own round count, and 2 are required"
    assert quorum_faults(missed, decision(1, "ab", refused="c"), recipe) == (told,)
    told = "it went on without its quorum: 1 updates of its own round count, and 2 are required"
    stale = decision(2, "a", c=(1, 0.5))
    for outcome in ("passed", "gate-refused"):
        assert quorum_faults(record(2, "ac", outcome=outcome), stale, recipe) == (told,)
        assert quorum_faults(record(2, "abc", outcome=outcome), decision(2, "ab"), recipe) == ()
    nothing = {"gate": NO_FINITE_AVERAGE, "candidate_sha256": None, "outcome": "gate-refused"}
    assert quorum_faults(missed.model_copy(update=nothing), decision(1, "a"), recipe)


@pytest.mark.parametrize(
    ("policy", "required", "accepted", "resting", "may"),
    [
        *(("drop", 2, "abc", "", True), ("drop", 3, "abc", "", False), ("drop", 1, "a", "", False)),
        *(("drop", 2, "ac", "b", False), ("drop", 1, "ac", "b", True)),
        *(("retry", 2, "abc", "", False), ("stop", 2, "abc", "", False)),
    ],
)
def test_somebody_is_dropped_only_where_the_recipe_says_so_and_enough_are_left(
    policy, required, accepted, resting, may
):
    recipe = recipe_for("abc", gate={"after_refusal": policy}, min_available_parties=required)
    refused = record(2, accepted, outcome="gate-refused")
    spoiled = refused.model_copy(update={"dropped": "a"})
    told = f"it drops a, and may not: after_refusal is {policy}, {len(accepted)} updates count"
    earlier = record(1, outcome="gate-refused").model_copy(update={"dropped": resting or None})
    plan = plan_for(recipe)
    assert dropping_faults(spoiled, decision(2, accepted), plan, [earlier]) == (() if may else (told,))
    assert dropping_faults(refused, decision(2, accepted), plan, [earlier]) == ()


def test_nobody_is_dropped_where_the_gate_did_not_speak():
    recipe = recipe_for("abc", gate={"after_refusal": "drop"})
    gone = record(1, "abc", {"b": "changed-since"}, outcome="gate-refused")
    assert dropping_faults(gone.model_copy(update={"dropped": "a"}), decision(1, "abc"), plan_for(recipe), [])
