"""A sample of `make faults`: one case of each kind, on real processes and the real store.

Kinds are kill, hang and error, before and after, at the coordinator and at a party: twelve in all. Before and
after share a run where neither loses a party. And two clocks are wrong, of the coordinator and of a party.
"""

import itertools

import pytest

from tests.faults.cases import Case
from tests.faults.faultless import Lane
from tests.faults.points import ACTIONS, MOMENTS, WHOLE_RUN, Point
from tests.faults.runner import FIRST_SEED, Runner
from tests.faults.stack import firing_range

LANES = 3
RECORD = Point("coordinator", "close_round", "create record")
DECISION = Point("coordinator", "admit_updates", "create decision")
HEAD = Point("coordinator", "move_head", "swap HEAD")
RECEIPT = Point("party", "submit_update", "create receipt")
UPDATE = Point("party", "submit_update", "upload update")
TRAINING = Point("party", "train_local")
SAMPLE = [
    Case(point, action, when)
    for points in ((RECORD, DECISION, HEAD), (UPDATE, RECEIPT, TRAINING))
    for (point, action), when in itertools.product(zip(points, ACTIONS, strict=True), MOMENTS)
]
CLOCKS = [
    Case(Point("coordinator", WHOLE_RUN), "clock", "behind"),
    Case(Point("party", WHOLE_RUN), "clock", "ahead"),
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    with firing_range(tmp_path_factory.mktemp("faults") / "range") as place:
        runner = Runner(place, [Lane(FIRST_SEED + number) for number in range(LANES)])
        runner.survey()
        assert {case.point for case in SAMPLE} <= runner.points, "a point has another name now"
        yield {row.case: row for row in runner.play_all([*SAMPLE, *CLOCKS], together=2)}


@pytest.mark.timeout(600)  # the first case waits for the stack and for all of them
@pytest.mark.parametrize("case", [*SAMPLE, *CLOCKS], ids=lambda case: case.name)
def test_it_survives_with_the_same_model(rows, case):
    row = rows[case]
    assert row.fired, "the run never came to the point"
    assert row.happened, "the store does not show what the point says"
    assert row.survived, row.why
    assert row.equal_hash, row.why


def test_a_round_without_a_party_is_compared_with_one_that_it_sat_out(rows):
    compared = {row.compared_with for row in rows.values() if row.case.may_lose_a_party}
    assert any("and without shop-" in words for words in compared), compared
