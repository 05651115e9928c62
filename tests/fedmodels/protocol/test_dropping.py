"""After a refusal: the same cohort again, without its worst contributor, or the end of the run."""

from dataclasses import replace

import pytest

from fedmodels.protocol.agreement import record_faults
from fedmodels.protocol.allowance import missed_in_a_row, why_failed
from fedmodels.protocol.dropping import draw_number, without, worst_contributor
from fedmodels.protocol.messages import AcceptedUpdate, Decision, Metrics
from fedmodels.protocol.resting import may_drop, resting_parties
from fedmodels.protocol.salvage import salvageable
from fedmodels.protocol.steps import announcement_of
from tests.fedmodels.protocol.builders import BASE, recipe_for, record, state_for


def decision_of(**weights: float) -> Decision:
    accepted = tuple(
        AcceptedUpdate(party=party, receipt_sha256=BASE, update_sha256=BASE, num_examples=10, weight=weight)
        for party, weight in weights.items()
    )
    return Decision(run="r", round=1, base_sha256=BASE, accepted=accepted, refused=())


def dropping(number: int, party: str, accepted: str = "abc"):
    return record(number, accepted, outcome="gate-refused").model_copy(update={"dropped": party})


def refused(number: int):
    return record(number, outcome="gate-refused")


def test_a_refused_round_is_tried_again_with_the_cohort_that_was_drawn_for_it():
    assert draw_number([]) == 1
    assert draw_number([record(1), record(2)]) == 3
    assert draw_number([record(1), refused(2)]) == 2
    assert draw_number([record(1), refused(2), refused(3)]) == 2
    assert draw_number([refused(1), record(2)]) == 3

    recipe = recipe_for("abcdefgh", fraction_train=0.5, min_available_parties=1)
    cohorts = []
    for records in ([], [refused(1)], [refused(1), refused(2)], [record(1)], [record(1), record(2)]):
        state = state_for(recipe, records=tuple(records))
        state = replace(state, head=state.head.model_copy(update={"round": len(records)}))
        cohorts.append(announcement_of(state).cohort)
    assert cohorts[0] == cohorts[1] == cohorts[2]
    assert len(set(cohorts[2:])) == 3


def test_whoever_spoiled_a_round_is_left_out_of_three():
    records = [dropping(1, "c")]
    for number in (2, 3, 4):
        assert resting_parties(records, "abc", 2) == {"c"}
        records.append(record(number, "ab"))
    assert resting_parties(records, "abc", 2) == frozenset()


def test_never_below_the_quorum_and_the_dropped_one_rests_before_the_refused_ones():
    late = [record(number, "ac", {"b": "late"}) for number in (1, 2, 3)]
    records = [*late[:2], late[2].model_copy(update={"outcome": "gate-refused", "dropped": "c"})]
    assert resting_parties(records, "abc", 1) == {"b", "c"}
    assert resting_parties(records, "abc", 2) == {"c"}
    assert resting_parties(records, "abc", 3) == frozenset()


def test_nobody_is_sought_when_nobody_could_be_left_out():
    recipe, three = recipe_for("abc", gate={"after_refusal": "drop"}), decision_of(a=0.5, b=0.25, c=0.25)
    assert may_drop(recipe, "abc", [], three)
    assert not may_drop(recipe_for("abc", gate={"after_refusal": "retry"}), "abc", [], three)
    needs_all = recipe_for("abc", gate={"after_refusal": "drop"}, min_available_parties=3)
    assert not may_drop(needs_all, "abc", [], three)
    assert not may_drop(recipe, "abc", [], decision_of(a=1.0)), "without it nothing is left to average"
    assert not may_drop(recipe, "abc", [dropping(1, "b")], decision_of(a=0.5, c=0.5)), "b rests already"


def test_a_cohort_of_few_may_lose_one_when_others_wait():
    recipe = recipe_for("abcde", gate={"after_refusal": "drop"}, fraction_train=0.4)
    assert may_drop(recipe, "abcde", [], decision_of(a=0.5, b=0.5))


def test_whoever_took_an_update_back_rests_and_ends_no_run():
    taken = record(1, "abc", {"c": "changed-since"}, outcome="gate-refused")
    assert resting_parties([taken], "abc", 2) == {"c"}
    for after_refusal in ("retry", "stop"):
        recipe = recipe_for("abc", max_failed_rounds=0, gate={"after_refusal": after_refusal})
        assert why_failed([taken], recipe) is None
    again = [taken.model_copy(update={"round": number}) for number in (1, 2, 3)]
    assert missed_in_a_row(again, 0) == 3, "where it cannot be left out, the run stops and can be resumed"


def test_who_is_dropped_is_not_salvaged_either():
    recipe = recipe_for("abc", salvage={"exponent": 0.5})
    late = record(1, "ab", {"c": "late"}, outcome="gate-refused")
    assert salvageable([late], recipe) == ("c",)
    assert salvageable([late.model_copy(update={"dropped": "c"})], recipe) == ()


def test_the_others_weigh_as_if_it_had_sent_nothing():
    rest = without(decision_of(a=0.5, b=0.25, c=0.25), "c")
    assert [(update.party, update.weight) for update in rest.accepted] == [
        ("a", pytest.approx(2 / 3)),
        ("b", pytest.approx(1 / 3)),
    ]


def scores(accuracy: float, loss: float) -> Metrics:
    return Metrics(accuracy=accuracy, macro_f1=accuracy, loss=loss, num_examples=100)


def test_the_worst_is_whoever_is_best_left_out():
    found = {"a": scores(0.6, 0.9), "b": scores(0.8, 0.7), "c": scores(0.7, 0.2)}
    assert worst_contributor(found, "accuracy") == "b"
    assert worst_contributor(found, "loss") == "c"
    assert worst_contributor({**found, "c": scores(0.8, 0.2)}, "accuracy") == "c", "the loss decides"
    assert worst_contributor({**found, "b": None, "c": None}, "accuracy") == "a", "only this one is a model"
    assert worst_contributor({"a": None, "b": None}, "accuracy") is None


def test_a_run_that_stops_at_a_refusal_is_closed_by_the_first():
    stops = recipe_for(max_failed_rounds=5, gate={"after_refusal": "stop"})
    assert why_failed([record(1)], stops) is None
    assert "refused 1 round, and after_refusal is stop" in why_failed([record(1), refused(2)], stops)


def test_a_record_that_drops_whom_it_did_not_count_is_noticed():
    def fault(found):
        return any("spoiled no round" in told for told in record_faults(found, None, None, None, {}))

    assert not fault(dropping(1, "c"))
    assert fault(dropping(1, "d"))
    assert fault(record(1, "abc").model_copy(update={"dropped": "c"}))
