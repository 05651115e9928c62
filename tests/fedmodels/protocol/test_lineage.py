"""Lineage of made-up messages: what environments had a part, and data that changed during a run."""

from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.lineage import Lineage, RunMessages, environments_of, lineage_of
from fedmodels.protocol.messages import DataReport, Environment, PinnedData, Receipt
from fedmodels.protocol.releases import ReleaseCheck, ReleaseReport, ReleaseRequest
from fedmodels.protocol.retraining import RetrainingRequest
from tests.fedmodels.protocol.builders import BASE, plan_for, recipe_for

HERE = Environment(
    code="a" * 40,
    modified=False,
    python="3.11.9",
    torch="2.13.0+cpu",
    torch_build_sha256=BASE,
    transformers="5.0",
    machine="x86_64",
    instruction_set="AVX512",
    device="cpu",
    threads=2,
)
ELSEWHERE = HERE.model_copy(update={"instruction_set": "AVX2", "threads": 1})
REQUEST = ReleaseRequest(recipe="tiny", release=1, ticket="t", run="r", round=1, model_sha256=BASE)
REPORT = ReleaseReport(
    recipe="tiny",
    release=1,
    request_sha256=BASE,
    run="r",
    model_sha256=BASE,
    checks=(ReleaseCheck(name="size", value=1.0, bound=2.0, verdict="passed", sentence="The size is 1."),),
    validation=None,
    approval="none",
    approval_deadline=1.0,
)


def receipt(party: str, number: int, data_hash: str, rows: int, environment=None) -> Receipt:
    return Receipt(
        run="r",
        round=number,
        party=party,
        base_sha256=BASE,
        update_sha256=BASE,
        num_examples=rows,
        data_hash=data_hash,
        data=DataReport(rows=rows + 2, train_rows=rows, holdout_rows=2, contract_passed=True),
        environment=environment,
    )


def retraining(**facts) -> RetrainingRequest:
    """Number 2, of whatever `facts` say."""
    told = {"recipe": "tiny", "number": 2, "ticket": "t", "run": "r", "champion_sha256": BASE}
    return RetrainingRequest.model_validate({**told, **facts})


def lineage(*receipts: Receipt, here=HERE, begun_by=None):
    plan = plan_for(recipe_for()).model_copy(update={"environment": here})
    found = {(each.party, each.round): each for each in receipts}
    messages = RunMessages(plan, BASE, (), {}, {}, found, retraining=begun_by)
    return lineage_of(messages, REQUEST, REPORT, BASE, None)


def test_data_that_changed_during_a_run_are_two_versions():
    found = lineage(receipt("a", 1, "one", 10), receipt("a", 2, "one", 10), receipt("a", 3, "two", 12)).data
    assert [(each.party, each.data_hash, each.rounds, each.train_rows) for each in found] == [
        ("a", "one", (1, 2), 10),
        ("a", "two", (3,), 12),
    ]


def test_the_version_that_a_party_pinned_goes_into_its_line():
    def of(version, number):
        pinned = PinnedData(keyed_hash=version * 64, rows={"train": 12})
        return receipt("a", number, "one", 10).model_copy(update={"version": pinned})

    silent = receipt("a", 4, "one", 10).model_copy(update={"version": PinnedData(rows={"train": 12})})
    found = lineage(of("a", 1), of("a", 2), of("b", 3), silent, receipt("a", 5, "one", 10)).data
    assert [(each.version, each.rounds) for each in found] == [
        ("a" * 64, (1, 2)),
        ("b" * 64, (3,)),
        (None, (4, 5)),
    ]


def test_a_receipt_without_a_version_has_the_bytes_of_before_the_field():
    assert b"version" not in canonical_json(receipt("a", 1, "one", 10))


def test_the_order_in_which_receipts_were_read_changes_nothing():
    receipts = [receipt(party, number, "h", 10) for party in "ab" for number in (1, 2)]
    assert lineage(*receipts) == lineage(*receipts[::-1])


def test_every_environment_is_named_once():
    found = lineage(
        receipt("a", 1, "h", 10, ELSEWHERE),
        receipt("a", 2, "h", 10, ELSEWHERE),
        receipt("b", 1, "h", 10, HERE),
        receipt("b", 2, "h", 10),
    )
    assert environments_of(found) == (HERE, ELSEWHERE)
    assert found.code == "a" * 40
    assert lineage(here=None).code == "", "of a plan of before the field"


def test_a_withdrawal_that_was_answered_is_no_drift():
    key = "coordinator/withdrawals/tiny/{}/0001.json"
    found = lineage(
        begun_by=retraining(
            parties=("a", "b"),
            withdrawals=(key.format("a"), key.format("b")),
            without=("b",),
            reason="withdrawal: a withdrew rows, b left",
        )
    )
    assert found.drift is None
    answered = found.withdrawal
    assert (answered.number, answered.parties, answered.without) == (2, ("a", "b"), ("b",))
    assert answered.notices == (key.format("a"), key.format("b"))
    assert Lineage.model_validate_json(canonical_json(found)) == found


def test_drift_that_was_answered_has_the_bytes_of_before_withdrawals():
    drift = retraining(parties=("a",), notices=("n",), reason="drift at a: text")
    for found, told in ((lineage(begun_by=drift), ("n",)), (lineage(), None)):
        assert (found.drift.notices if found.drift else None, found.withdrawal) == (told, None)
        written = canonical_json(found)
        assert b'"withdrawal"' not in written
        assert Lineage.model_validate_json(written) == found


def test_a_record_that_calls_a_withdrawal_drift_is_read_as_it_is():
    asked = retraining(parties=("a",), notices=(), reason="withdrawal: a withdrew rows")
    written = canonical_json(lineage(begun_by=asked))
    assert canonical_json(Lineage.model_validate_json(written)) == written
