"""Who counts, with which weight, and the code of everybody who does not."""

import pytest

from fedmodels.aggregation.fedavg import fedavg_weights
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.deciding import as_decided, decide
from tests.fedmodels.protocol.builders import announcement, answer, recipe_for, record, refused

SALVAGING = recipe_for("abcd", salvage={"exponent": 0.5})
LATE_C = [record(1, "ab", {"c": "late"})]


def decided(collected, recipe=SALVAGING, records=LATE_C, number=2, cohort="abc"):
    return decide(
        announcement(number, cohort),
        collected,
        lambda counts: fedavg_weights(counts, "examples"),
        recipe,
        records=records,
        before=announcement(number - 1, "abc") if number > 1 else None,
    )


def codes(decision):
    return [(refusal.party, refusal.round, refusal.code) for refusal in decision.refused]


def test_weights_and_order_without_salvage():
    found = decided([answer("b", 1, 100), answer("a", 1, 300), refused("c")], recipe_for("abc"), [], 1)
    assert [(update.party, update.weight) for update in found.accepted] == [("a", 0.75), ("b", 0.25)]
    assert codes(found) == [("c", None, "late")]
    assert b"discount" not in canonical_json(found)
    assert b'"round":null' not in canonical_json(found), "fields of salvage stand only where there is some"


def test_a_late_update_is_salvaged_with_its_round_and_discount():
    found = decided([answer("a", 2), answer("b", 2), answer("c", 1, late=True), refused("c")])
    salvaged = found.accepted[2]
    assert (salvaged.party, salvaged.round) == ("c", 1)
    assert salvaged.discount == pytest.approx(2**-0.5)
    assert salvaged.weight == pytest.approx(2**-0.5 / (2 + 2**-0.5))
    assert sum(update.weight for update in found.accepted) == pytest.approx(1.0)
    assert codes(found) == [("c", None, "late")], "late again, and yet it counts"


def test_after_a_round_that_did_not_pass_the_late_update_is_as_fresh_as_any():
    records = [record(1, "ab", {"c": "late"}, outcome="gate-refused")]
    found = decided([answer("a", 2), answer("c", 1, late=True)], records=records)
    assert [(update.weight, update.discount) for update in found.accepted] == [(0.5, 1.0), (0.5, 1.0)]
    assert found.accepted[1].round == 1


def test_a_fresh_update_goes_before_a_late_one_of_the_same_party():
    found = decided([answer("c", 1, late=True), answer("c", 2), answer("a", 2)])
    assert [(update.party, update.round) for update in found.accepted] == [("a", None), ("c", None)]
    assert codes(found) == [("c", 1, "duplicate")]


def test_the_same_update_twice_counts_once():
    found = decided([answer("a", 2), answer("a", 2), answer("b", 2)])
    assert [update.party for update in found.accepted] == ["a", "b"]
    assert codes(found) == [("a", None, "duplicate")]


@pytest.mark.parametrize(
    ("item", "records", "code"),
    [
        (answer("d", 2), LATE_C, "not-asked"),
        (answer("d", 1, late=True), [record(1, "ab", {"d": "late"})], "not-asked"),
        (answer("a", 1, late=True), LATE_C, "not-late"),
        (answer("c", 1, late=True), [record(1, "ab", {"c": "wrong-base"})], "not-late"),
    ],
)
def test_who_may_not(item, records, code):
    found = decided([item], records=records)
    assert found.accepted == ()
    assert [refusal.code for refusal in found.refused] == [code]


def test_a_round_before_the_last_one_is_too_stale():
    records = [*LATE_C, record(2, "ab", {"c": "late"})]
    assert codes(decided([answer("c", 1, late=True)], records=records, number=3)) == [("c", 1, "too-stale")]


def test_without_salvage_nothing_late_counts():
    assert codes(decided([answer("c", 1, late=True)], recipe_for("abc"))) == [("c", 1, "not-late")]


def test_a_refused_late_update_keeps_its_own_code():
    found = decided([answer("a", 2), refused("c", "update-not-finite", 1)])
    assert codes(found) == [("c", 1, "update-not-finite")]


def test_what_was_collected_as_the_decision_sees_it():
    collected = [answer("c", 1, late=True), answer("c", 2), answer("a", 2), refused("b")]
    settled = as_decided(decided(collected), collected)
    assert {(item.party, item.round): item.refusal and item.refusal.code for item in settled} == {
        ("a", None): None,
        ("b", None): "late",
        ("c", None): None,
        ("c", 1): "duplicate",
    }


def test_anothers_decision_is_noticed():
    decision = decided([answer("a", 2), answer("b", 2)])
    assert as_decided(decision, [answer("a", 2)]) is None
    assert as_decided(decision, [answer("a", 2), answer("b", 2), answer("c", 2)]) is None
    other = answer("b", 2).model_copy(update={"receipt_sha256": "f" * 64})
    assert as_decided(decision, [answer("a", 2), other]) is None
