"""What a release is told of where its candidate comes from."""

import pytest

from fedmodels.protocol.lineage import RunMessages
from tests.fedmodels.protocol.builders import BASE, plan_for, recipe_for
from tests.fedmodels.protocol.test_lineage import ELSEWHERE, HERE, receipt
from validation.release.provenance import check_lineage


def checks(environment=HERE, trained_on=HERE, missing=()):
    plan = plan_for(recipe_for()).model_copy(update={"environment": environment})
    receipts = {
        ("a", 1): receipt("a", 1, "h", 10, trained_on),
        ("b", 1): None if missing else receipt("b", 1, "h", 9),
    }
    return list(check_lineage(RunMessages(plan, BASE, (), {}, {}, receipts, missing)))


def test_all_receipts_stand():
    receipts, code = checks()
    assert (receipts.verdict, receipts.value) == ("passed", 0)
    assert receipts.sentence == "2 of 2 receipts that count stand as they were decided on."
    assert (
        code.sentence
        == f"The coordinator ran commit {'a' * 12}, and so did every party that says what it ran."
    )


def test_a_receipt_that_is_gone_refuses():
    receipts, _ = checks(missing=("parties/b/receipt.json",))
    assert (receipts.verdict, receipts.value) == ("failed", 1)
    assert receipts.sentence.startswith("1 of 2 receipts")


@pytest.mark.parametrize(
    ("environment", "trained_on", "told"),
    [
        (None, HERE, "not known which commit"),
        (HERE.model_copy(update={"code": ""}), HERE, "not known which commit"),
        (HERE.model_copy(update={"modified": True}), HERE, "changes that no commit holds"),
        (HERE, HERE.model_copy(update={"code": "b" * 40}), "other code made 1 receipt"),
        (HERE, ELSEWHERE, "so did every party"),
    ],
)
def test_code_is_told_and_refuses_nothing(environment, trained_on, told):
    _, code = checks(environment, trained_on)
    assert code.verdict == "reported" and told in code.sentence
