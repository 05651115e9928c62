"""The report names every write that no case stood at, of the runs that were played and of all the code."""

from tests.faults.cases import Case
from tests.faults.points import Point
from tests.faults.report import document_of, uncovered_writes
from tests.faults.rows import Row
from tests.faults.written import writes_in_code


def test_a_write_that_no_case_stands_at_is_listed():
    seen = Point("coordinator", "close_round", "create record"), Point("party", "train_local")
    assert uncovered_writes([], seen) == ["coordinator · close_round: create record"]
    assert uncovered_writes([Case(seen[0], "kill", "after")], seen) == []


def row_of(case, fired=True):
    return Row(case, fired, True, True, True, "", 0, 1.0, 1)


def test_writes_that_nobody_chose_are_no_gap():
    record, closed = (
        Point("coordinator", "close_round", "create record"),
        Point("coordinator", "c", "create closed"),
    )
    rows = [row_of(Case(record, "kill", "after"))]
    chosen = document_of(rows, [record, closed], 1.0, everything=False)
    assert (chosen["missed_writes"], chosen["writes_not_chosen"]) == ([], [f"coordinator · {closed}"])
    everything = document_of(rows, [record, closed], 1.0)
    assert (everything["missed_writes"], everything["writes_not_chosen"]) == (
        [f"coordinator · {closed}"],
        [],
    )
    missed = document_of([row_of(rows[0].case, fired=False)], [record], 1.0, everything=False)
    assert missed["missed_writes"] == [f"coordinator · {record}"], "chosen, and never reached"


OFF_THE_PATHS = {
    "coordinator · cancel_run: create closed",
    "coordinator · prune: delete object",
    "coordinator · sweep: delete object",
    "coordinator · write_note: create removal note",
    "party · decline: create lease",
    "party · decline: swap lease",
    "party · sit_out: create receipt",
}
PASSED = [
    Point("coordinator", "admit_updates", "create decision"),
    Point("coordinator", "close_run", "create closed"),
    Point("coordinator", "move_head", "swap HEAD"),
    Point("coordinator", "open_run", "put_blob architecture"),
    Point("coordinator", "publish", "upload model"),
    Point("coordinator", "resume_run", "swap HEAD"),
    Point("party", "evaluate_candidate", "create evaluation"),
    Point("party", "join_run", "swap lease"),
    Point("party", "submit_update", "upload update"),
]


def test_writes_that_no_run_passes_are_found_in_the_code_and_listed_as_uncovered():
    assert set(PASSED) <= writes_in_code(), "what runs pass bears the same names"
    document = document_of([row_of(Case(PASSED[0], "kill", "after"))], PASSED[:1], 1.0)
    assert document["missed_writes"] == []
    assert set(document["uncovered_writes"]) >= OFF_THE_PATHS
    assert f"coordinator · {PASSED[0]}" not in document["uncovered_writes"], "a case stood there"
