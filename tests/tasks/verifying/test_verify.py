"""Verifying a finished run: it holds; and whatever is done to one of its objects, that object is named."""

import re
from dataclasses import replace

import pytest

from fedmodels.errors import InputError, StoreRefused
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Evaluation, Receipt, Record, Signed
from fedmodels.protocol.sweeping import Sweep, SweptObject
from infra.keys import sign
from infra.layout import (
    architecture_key,
    closed_key,
    evaluation_key,
    head_key,
    model_key,
    plan_key,
    receipt_key,
    round_key,
    sweep_key,
    update_key,
)
from infra.object_store import ObjectStore
from tasks.verifying.messages import examine_messages
from tasks.verifying.run import verify_run
from tasks.verifying.snapshot import read_snapshot
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun
from validation.admission import RECEIPT_LIMIT

RUN = "tiny-1"
TUNED = "not recomputable: fine-tuned"


@pytest.fixture
def verify(finished, tmp_path):
    """Verify the run; the verdicts that do not simply hold, by object."""

    def call(**options):
        report = verify_run(finished.store, RUN, tmp_path, **options)
        told = {item.object: item.verdict for item in report.findings if item.verdict != "ok"}
        assert told.pop("fine-tuning of round 2", TUNED) == TUNED
        assert report.passed == all(item.holds for item in report.findings)
        return told

    return call


def keys_of(finished) -> dict[str, str]:
    """One key of each kind of object."""
    update = finished.records[0]
    accepted = finished.updates["shop-a", 1]
    return {
        "plan": plan_key(RUN),
        "head": head_key(RUN),
        "closed": closed_key(RUN),
        "announcement": round_key(RUN, 2, "announcement"),
        "decision": round_key(RUN, 2, "decision"),
        "candidate": round_key(RUN, 3, "candidate"),
        "tuned candidate": round_key(RUN, 2, "candidate"),
        "first record": round_key(RUN, 1, "record"),
        "record": round_key(RUN, 3, "record"),
        "last record": round_key(RUN, 5, "record"),
        "receipt": receipt_key("shop-b", RUN, 1),
        "salvaged receipt": receipt_key("shop-b", RUN, 4),
        "evaluation": evaluation_key("shop-a", RUN, 5),
        "architecture": architecture_key(finished.plan.architecture_sha256),
        "base model": model_key(finished.plan.base_model_sha256),
        "model": model_key(update.model_sha256),
        "tuned model": model_key(finished.records[1].model_sha256),
        "refused model": model_key(finished.records[2].candidate_sha256),
        "last model": model_key(finished.head.model_sha256),
        "update": update_key("shop-a", accepted.update_sha256),
    }


KINDS = [
    *("plan", "head", "closed", "announcement", "decision", "candidate", "tuned candidate"),
    *("first record", "record", "last record", "receipt", "salvaged receipt", "evaluation"),
    *("architecture", "base model", "model", "tuned model", "refused model", "last model", "update"),
]


def broken(told: dict[str, str]) -> dict[str, str]:
    """Without what rests on something broken."""
    return {name: verdict for name, verdict in told.items() if verdict != "not checked"}


def test_a_run_that_nobody_touched_holds(verify):
    assert verify() == {}


def test_its_report_has_every_object_once_and_says_what_was_recomputed(finished, tmp_path):
    report = verify_run(finished.store, RUN, tmp_path)
    document = report.document()
    objects = [row["object"] for row in document["objects"]]
    assert document["passed"] is True
    assert len(set(objects)) == len(objects)
    assert set(keys_of(finished).values()) <= set(objects)
    details = {row["object"]: row["detail"] for row in document["objects"]}
    assert details["average of round 5"] == "base and 3 updates, added again: the same bits"
    assert details[receipt_key("shop-c", RUN, 2)] == "refused (data-refused)"
    assert details[evaluation_key("shop-c", RUN, 5)] == "not counted"
    assert list(tmp_path.iterdir()) == []


def test_it_tells_how_many_bytes_it_has_read(finished, tmp_path):
    seen = []
    verify_run(finished.store, RUN, tmp_path, watch=lambda read, total: seen.append((read, total)))
    reads, totals = zip(*seen, strict=True)
    assert list(reads) == sorted(reads)
    assert len(set(totals)) == 1
    assert seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0.31, 0.55])
def test_one_flipped_byte_is_named(finished, verify, tampering, kind, place):
    key = keys_of(finished)[kind]
    data = bytearray(finished.store.read(key))
    data[int(place * len(data))] ^= 1
    with tampering({key: bytes(data)}):
        assert broken(verify()) == {key: "changed"}


def test_each_flipped_byte_of_every_message_is_named(finished):
    """But in what nothing holds, as the docstring of `tasks.verifying.run` lists it."""
    free = (b'"epoch":', b'"reason":"', b'"seconds":')
    snapshot = read_snapshot(finished.store, RUN)
    checked = 0
    for number, (key, data) in enumerate(sorted(snapshot.objects.items())):
        for position in range(number * 37 % 151, len(data), 151):
            name = re.findall(rb'"\w+":(?:"?)', data[:position])[-1:]
            if name and key in (head_key(RUN), closed_key(RUN)) and name[0] in free:
                continue
            if name == [b'"aggregate_sha256":"']:
                continue  # the average says whether it is right, and no message
            changed = bytearray(data)
            changed[position] ^= 1
            found = examine_messages(replace(snapshot, objects={**snapshot.objects, key: bytes(changed)}))
            told = {item.object: item.verdict for item in found.findings if not item.holds}
            assert told == {key: "changed"}, (key, position, name)
            checked += 1
    assert checked > 220


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_object_is_named(finished, verify, tampering, kind):
    key = keys_of(finished)[kind]
    with tampering({key: None}):
        assert broken(verify()) == {key: "deleted"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (round_key(RUN, 1, "record"), round_key(RUN, 2, "record")),
        (round_key(RUN, 4, "record"), round_key(RUN, 5, "record")),
        (round_key(RUN, 2, "announcement"), round_key(RUN, 3, "announcement")),
        (round_key(RUN, 1, "decision"), round_key(RUN, 5, "decision")),
        (round_key(RUN, 1, "candidate"), round_key(RUN, 3, "candidate")),
        (receipt_key("shop-a", RUN, 1), receipt_key("shop-a", RUN, 3)),
        (evaluation_key("shop-a", RUN, 1), evaluation_key("shop-a", RUN, 2)),
    ],
)
def test_messages_of_two_rounds_in_each_others_place_are_named_as_reordered(
    finished, verify, tampering, one, other
):
    with tampering({one: finished.store.read(other), other: finished.store.read(one)}):
        assert broken(verify()) == {one: "reordered", other: "reordered"}


def test_receipts_of_two_parties_in_each_others_place_are_named_as_swapped(finished, verify, tampering):
    one, other = receipt_key("shop-a", RUN, 3), receipt_key("shop-b", RUN, 3)
    with tampering({one: finished.store.read(other), other: finished.store.read(one)}):
        assert broken(verify()) == {one: "swapped", other: "swapped"}


def test_blobs_in_each_others_place_are_named_as_swapped(finished, verify, tampering):
    one, other = (model_key(finished.records[n].candidate_sha256) for n in (0, 2))
    with tampering({one: finished.store.read(other), other: finished.store.read(one)}):
        assert broken(verify()) == {one: "swapped", other: "swapped"}


@pytest.mark.parametrize("name", ["plan", "head", "closed", "record", "candidate"])
def test_a_message_of_another_run_is_named_as_swapped(finished, verify, tampering, name):
    key = keys_of(finished)[name]
    with tampering({key: finished.store.read(key.replace(RUN, "other-1"))}):
        assert broken(verify()) == {key: "swapped"}


def test_a_copy_of_another_round_is_named_and_the_original_is_not(finished, verify, tampering):
    key = round_key(RUN, 2, "record")
    with tampering({key: finished.store.read(round_key(RUN, 3, "record"))}):
        assert broken(verify()) == {key: "reordered"}


def test_a_decision_in_the_place_of_the_candidate_is_named(finished, verify, tampering):
    key = round_key(RUN, 2, "candidate")
    with tampering({key: finished.store.read(round_key(RUN, 2, "decision"))}):
        assert broken(verify()) == {key: "swapped"}


def test_a_rewritten_record_is_named_though_it_is_well_formed(finished, verify, tampering):
    key = round_key(RUN, 5, "record")
    record = finished.records[4]
    rewritten = record.model_copy(
        update={"seconds": record.seconds.model_copy(update={"total": 1.0, "overhead": 0.5})}
    )
    with tampering({key: canonical_json(rewritten)}):
        assert broken(verify()) == {key: "changed"}


def test_a_head_that_was_set_back_is_named(finished, verify, tampering):
    earlier = finished.records[:3]
    head = finished.head.model_copy(
        update={
            "round": 3,
            "record_sha256": finished.records[3].previous_sha256,
            "model_sha256": earlier[-1].model_sha256,
            "passed_rounds": 2,
            "failed_rounds": 1,
        }
    )
    with tampering({head_key(RUN): canonical_json(head)}):
        assert broken(verify()) == {head_key(RUN): "changed"}


def test_a_receipt_that_somebody_else_signed_is_named(finished, verify, tampering):
    key = receipt_key("shop-c", RUN, 2)
    envelope = Signed.model_validate_json(finished.store.read(key))
    receipt = Receipt.model_validate_json(envelope.payload).model_copy(update={"reason": "No reason."})
    payload = canonical_json(receipt)
    forged = Signed(payload=payload.decode(), signature=sign(finished.keys["shop-a"], payload))
    with tampering({key: canonical_json(forged)}):
        assert broken(verify()) == {key: "changed"}


def test_an_evaluation_that_its_party_wrote_again_is_named(finished, verify, tampering):
    key = evaluation_key("shop-a", RUN, 1)
    envelope = Signed.model_validate_json(finished.store.read(key))
    old = Evaluation.model_validate_json(envelope.payload)
    assert old.metrics is not None
    better = old.model_copy(update={"metrics": old.metrics.model_copy(update={"accuracy": 0.99})})
    payload = canonical_json(better)
    signed = Signed(payload=payload.decode(), signature=sign(finished.keys["shop-a"], payload))
    with tampering({key: canonical_json(signed)}):
        assert broken(verify()) == {key: "changed"}


def test_an_average_that_does_not_follow_from_its_decision_is_named(finished, verify, tampering):
    """A coordinator that averaged otherwise, and wrote the whole chain accordingly."""
    snapshot = read_snapshot(finished.store, RUN)
    key = round_key(RUN, 2, "candidate")
    candidate = snapshot.objects[key].replace(b'"aggregate_sha256":"', b'"aggregate_sha256":"0123456789')
    digits = candidate.partition(b'"aggregate_sha256":"')[2].partition(b'"')[0]
    with tampering({key: candidate.replace(digits, digits[:64])}):
        assert broken(verify()) == {"average of round 2": "disagrees"}


def test_what_its_owner_swept_is_swept_and_what_others_claim_is_not(finished, verify, tampering):
    update = finished.updates["shop-a", 3]
    key = update_key("shop-a", update.update_sha256)
    with tampering({key: None, **noted("shop-a", key)}):
        assert verify() == {key: "swept", "average of round 3": "swept"}
    with tampering({key: None, **noted("shop-b", key)}):
        assert verify() == {key: "deleted", "average of round 3": "not checked"}
    with tampering({key: None, closed_key(RUN): None, **noted("shop-a", key)}):
        told = {key: "deleted", closed_key(RUN): "deleted", "average of round 3": "not checked"}
        assert verify() == told, "an open run keeps its updates"


@pytest.mark.parametrize(
    ("role", "kind"),
    [("shop-b", "receipt"), ("shop-a", "evaluation"), ("coordinator", "decision"), ("coordinator", "model")],
)
def test_nobody_sweeps_messages_or_a_model_that_one_names(finished, verify, tampering, role, kind):
    """Who deletes such a thing and notes it as swept has deleted it all the same."""
    key = keys_of(finished)[kind]
    with tampering({key: None, **noted(role, key)}):
        assert broken(verify()) == {key: "deleted"}


def test_of_what_a_party_wrote_no_more_is_read_than_can_count(finished, verify, tampering, monkeypatch):
    sizes, read = [], ObjectStore.read
    key = receipt_key("shop-b", RUN, 1)

    def counted(self, key, *limit, **options):
        found = read(self, key, *limit, **options)
        sizes.append(len(found or b""))
        return found

    with tampering({key: b" " * (RECEIPT_LIMIT + 1000)}):
        monkeypatch.setattr(ObjectStore, "read", counted)
        assert broken(verify()) == {key: "changed"}
        monkeypatch.undo()
    assert max(sizes) == RECEIPT_LIMIT + 1


def noted(role: str, key: str) -> dict[str, bytes | None]:
    """The note of a sweep that removed `key`, by its own key."""
    message = Sweep(role=role, older_than=3600.0, objects=(SweptObject(key=key, bytes=1),))
    return {sweep_key(role, "0001"): canonical_json(message)}


def test_an_update_that_its_party_took_back_is_held_against_nobody_else(finished, bucket_home, tmp_path):
    """The record says so; the same in a round whose record does not is a deletion."""
    run = FinishedRun(bucket_home, "taken-1", seed=3)
    for number, taken_back in ((1, ""), (2, "shop-b")):
        run.announce(number)
        for party in PARTIES:
            run.submit(party, number)
        decision = run.decide(number, dict.fromkeys(PARTIES, number), {})
        gone = decision.accepted[1]
        run.stores["shop-b"].delete(update_key("shop-b", gone.update_sha256))
        run.stores["shop-b"].delete(receipt_key("shop-b", "taken-1", number))
        candidate = None if taken_back else run.propose_anything(decision)
        run.close_round(decision, candidate, {}, taken_back)
    report = verify_run(run.store, "taken-1", tmp_path)
    told = {item.object: item.verdict for item in report.findings if item.verdict != "ok"}
    assert told == {
        receipt_key("shop-b", "taken-1", 1): "deleted",
        update_key("shop-b", run.updates["shop-b", 1].update_sha256): "deleted",
        "average of round 1": "not checked",
        receipt_key("shop-b", "taken-1", 2): "not checked",
    }


def test_an_object_of_a_round_that_cannot_be_is_named(finished, verify, tampering):
    key = round_key(RUN, 7, "announcement")
    with tampering({key: finished.store.read(round_key(RUN, 5, "announcement"))}):
        assert broken(verify()) == {key: "unexpected"}


def test_an_open_run_holds_as_far_as_it_is(finished, verify, tampering):
    open_again = {closed_key(RUN): None}
    for name in ("announcement", "decision", "candidate", "record"):
        open_again[round_key(RUN, 5, name)] = None
    for party in finished.plan.parties:
        open_again[receipt_key(party, RUN, 5)] = None
        open_again[evaluation_key(party, RUN, 5)] = None
    head = finished.head.model_copy(
        update={
            "round": 4,
            "record_sha256": finished.records[4].previous_sha256,
            "model_sha256": finished.records[3].model_sha256,
            "passed_rounds": 2,
            "best_round": 2,
            "best_model_sha256": finished.records[1].model_sha256,
        }
    )
    with tampering({**open_again, head_key(RUN): canonical_json(head)}):
        assert verify() == {}


def test_a_run_that_is_not_there_is_an_input_error(finished, tmp_path):
    with pytest.raises(InputError, match="no run nothing-1"):
        verify_run(finished.store, "nothing-1", tmp_path)


def test_a_party_cannot_verify_what_it_may_not_read(finished, tmp_path):
    with pytest.raises(StoreRefused):
        verify_run(finished.stores["shop-a"], RUN, tmp_path)


def test_records_are_parsed_as_they_are_written(finished):
    assert isinstance(read_snapshot(finished.store, RUN).held(Record, 1).message, Record)
