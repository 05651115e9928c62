"""Three refusals in a row and a party rests for three rounds; never are too few left."""

from fedmodels.protocol.resting import resting_parties
from tests.fedmodels.protocol.builders import record


def refusing(count: int, code: str = "late", party: str = "c"):
    return [record(number, "ab", {party: code}) for number in range(1, count + 1)]


def test_after_three_refusals_and_no_sooner():
    assert resting_parties(refusing(2), "abc", 1) == frozenset()
    assert resting_parties(refusing(3), "abc", 1) == {"c"}


def test_any_code_of_its_own_counts():
    mixed = [*refusing(1), record(2, "ab", {"c": "wrong-base"}), record(3, "ab", {"c": "session-died"})]
    assert resting_parties(mixed, "abc", 1) == {"c"}


def test_what_is_not_its_fault_does_not_count():
    assert resting_parties(refusing(5, "late-after-resume"), "abc", 1) == frozenset()
    excused = [*refusing(2), record(3, "ab", {"c": "late-after-resume"})]
    assert resting_parties(excused, "abc", 1) == frozenset()


def test_one_update_that_counts_ends_the_row():
    records = [*refusing(2), record(3, "abc"), record(4, "ab", {"c": "late"}), record(5, "ab", {"c": "late"})]
    assert resting_parties(records, "abc", 1) == frozenset()


def test_a_salvaged_update_counts_though_the_party_is_late_again():
    records = [*refusing(2), record(3, "abc", {"c": "late"})]
    assert resting_parties(records, "abc", 1) == frozenset()


def test_it_rests_for_three_rounds_and_again_after_one_more_refusal():
    rested = refusing(3)
    for number in (4, 5):
        rested.append(record(number))
        assert resting_parties(rested, "abc", 1) == {"c"}
    rested.append(record(6))
    assert resting_parties(rested, "abc", 1) == frozenset()
    rested.append(record(7, "ab", {"c": "late"}))
    assert resting_parties(rested, "abc", 1) == {"c"}


def test_never_below_the_quorum_and_the_worst_rests_first():
    records = [record(1, "a", {"c": "late"})]
    records += [record(number, "a", {"b": "late", "c": "late"}) for number in (2, 3, 4)]
    assert resting_parties(records, "abc", 1) == {"b", "c"}
    assert resting_parties(records, "abc", 2) == {"c"}
    assert resting_parties(records, "abc", 3) == frozenset()


def test_an_update_that_was_taken_back_counts_as_refused():
    records = [record(number, "abc", {"c": "changed-since"}) for number in (1, 2, 3)]
    assert resting_parties(records, "abc", 1) == {"c"}
