"""Rounds without enough parties stop a run, which can be resumed; refusals of the gate close it."""

from fedmodels.protocol.allowance import has_quorum, missed_in_a_row, why_failed, why_stopped
from fedmodels.protocol.deciding import decide
from tests.fedmodels.protocol.builders import announcement, answer, recipe_for, record, refused

AGREED = recipe_for("abc", max_failed_rounds=1, min_available_parties=2, salvage={"exponent": 0})


def missed(number: int):
    return record(number, "a", {"b": "table-empty"}, outcome="quorum-missed")


def test_rounds_short_of_parties_are_counted_in_a_row():
    refusal = record(2, outcome="gate-refused")
    assert missed_in_a_row([missed(1), refusal, missed(3)], 0) == 2
    assert missed_in_a_row([missed(1), record(2), missed(3)], 0) == 1
    assert missed_in_a_row([missed(1), missed(2), missed(3)], 2) == 1, "a resume has a fresh allowance"


def test_the_run_stops_with_the_codes_of_the_parties_and_the_way_on():
    assert why_stopped("r", [missed(1)], AGREED, 0) is None
    error = why_stopped("r", [missed(1), missed(2)], AGREED, 0)
    assert error.code == "quorum-missed"
    assert "2 rounds in a row had too few parties, and at most 1 may" in str(error)
    assert "see to the parties (fedcart data check --party b --recipe RECIPE shows" in str(error)
    assert "fedcart train --resume r" in str(error)
    assert why_stopped("r", [missed(1), missed(2)], AGREED, 2) is None


def test_of_a_party_that_is_merely_late_there_are_no_data_to_check():
    late = [record(n, "a", {"b": "late"}, outcome="quorum-missed") for n in (1, 2)]
    assert "see to the parties, then go on with" in str(why_stopped("r", late, AGREED, 0))


NOT_FINITE = "training-not-finite"


def test_where_no_training_was_finite_a_resume_is_not_advised():
    runs_away = [record(n, "", {"a": NOT_FINITE, "b": NOT_FINITE}, outcome="quorum-missed") for n in (1, 2)]
    said = str(why_stopped("r", runs_away, AGREED, 0))
    assert "end the run with fedcart runs cancel r, and train anew with a lower local.learning_rate" in said
    assert f"than {AGREED.local.learning_rate:g}." in said
    assert "--resume" not in said


def test_where_one_training_was_not_finite_the_others_are_seen_to():
    mixed = [record(n, "", {"a": NOT_FINITE, "b": "late"}, outcome="quorum-missed") for n in (1, 2)]
    assert "then go on with fedcart train --resume r." in str(why_stopped("r", mixed, AGREED, 0))


def test_only_the_gates_refusals_close_the_run():
    refusals = [record(1, outcome="gate-refused"), record(2), missed(3), record(4, outcome="gate-refused")]
    assert why_failed(refusals[:3], AGREED) is None
    assert "The gate refused 2 rounds, and at most 1 may fail" in why_failed(refusals, AGREED)


def test_a_salvaged_update_makes_no_quorum():
    records = [record(1, "ab", {"c": "late"})]
    found = [answer("a", 2), refused("b"), answer("c", 1, late=True)]
    decision = decide(
        announcement(2),
        found,
        lambda counts: {party: 1 / len(counts) for party in counts},
        AGREED,
        records=records,
        before=announcement(1, "abc"),
    )
    assert [update.party for update in decision.accepted] == ["a", "c"]
    assert not has_quorum(decision, AGREED)
