"""Every change of a record, and every one in another's place, breaks the chain and is named."""

import pytest

from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.chain import check_chain
from fedmodels.protocol.progress import follow, opening_head
from tests.fedmodels.protocol.builders import BASE, recipe_for, record


def chain():
    records, head, previous = [], opening_head("r", BASE), None
    for number, outcome in enumerate(("passed", "gate-refused", "passed"), start=1):
        model = f"{1:064x}" if outcome != "passed" else None
        added = record(number, outcome=outcome, previous=previous, model=model)
        head = follow(head, added, records, recipe_for())
        records.append(added)
        previous = sha256_hex(canonical_json(added))
    return head, records


def broken(head, records) -> str:
    with pytest.raises(IntegrityError) as caught:
        check_chain(head, records)
    assert caught.value.code == "chain-broken"
    return str(caught.value)


def test_a_whole_chain():
    check_chain(*chain())
    check_chain(opening_head("r", BASE), [])


def test_a_changed_record_is_named():
    head, records = chain()
    records[1] = records[1].model_copy(update={"accepted": ("a",)})
    assert "The record of round 3 of run r does not follow the record before it" in broken(head, records)
    head, records = chain()
    records[2] = records[2].model_copy(update={"accepted": ("a",)})
    assert "The record of round 3 of run r is not the one that HEAD names" in broken(head, records)


def test_places():
    head, records = chain()
    assert "round 1" in broken(head, [records[1], records[0], records[2]])
    assert "HEAD stands at round 3" in broken(head, records[:2])
    assert "of run other" in broken(head, [records[0].model_copy(update={"run": "other"}), *records[1:]])


def test_a_model_moves_through_the_gate_alone():
    head, records = chain()
    records[1] = records[1].model_copy(update={"model_sha256": "f" * 64})
    assert "is gate-refused and yet changes the model" in broken(head, records)
    assert "has another good model" in broken(
        chain()[0].model_copy(update={"model_sha256": BASE}), chain()[1]
    )
