"""The lineage record of a release: gathered from the run's own messages, signed, written once. No Prefect."""

from contextlib import suppress

from fedmodels.errors import FedcartError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.lineage import Lineage, RunMessages, lineage_of
from fedmodels.protocol.messages import Candidate, Decision, Receipt, Signed
from fedmodels.protocol.releases import LONGEST_WORDS, ReleaseReport, Unreleasable
from fedmodels.protocol.retraining import RetrainingRequest
from infra.keys import PrivateKey, public_key, sign, verify
from infra.layout import plan_key, receipt_key, release_key, retraining_key, retrainings_prefix, round_key
from infra.object_store import ObjectStore
from tasks.exchange import create_message, parse, read_bytes_from_party, read_message
from tasks.release.kept import KeptModel, kept_model
from tasks.release.reading import StandingReport, read_release, read_request
from validation.admission import RECEIPT_LIMIT


def record_lineage(store: ObjectStore, key: PrivateKey, found: StandingReport) -> Lineage:
    """Write the record of a release, or adopt the one that stands.

    It is written once the word on the release has been said, and so holds it.

    Args:
        store: the bucket with the coordinator's credentials.
        key: the coordinator's.
        found: the report and the word on it.

    One that stands and cannot be opened ends the release, which is noted: it can never be promoted.

    Raises:
        IntegrityError: a message of the run is missing or damaged; or as `read_lineage`.
    """
    report, place = found.report, _place(found)
    request = read_request(store, report.recipe, report.release)
    messages = gather_messages(store, kept_model(store, report.run))
    signature = store.read(release_key(report.recipe, report.release, "signature"))
    signature_sha256 = None if signature is None else sha256_hex(signature)
    made = lineage_of(messages, request, report, found.sha256, found.approval, signature_sha256)
    payload = canonical_json(made)
    envelope = Signed(payload=payload.decode(), signature=sign(key, payload))
    standing = store.create(place, canonical_json(envelope))
    try:
        lineage = _opened(standing, place, found, public_key(key))
        if lineage.signature_sha256 not in (None, signature_sha256):
            name = f"release {report.release} of {report.recipe}"
            raise _invalid(f"The lineage record of {name} names another signature than the one that stands")
    except IntegrityError as error:
        note_spoilt(store, report, error)
        raise
    return lineage


def note_spoilt(store: ObjectStore, report: ReleaseReport, error: FedcartError) -> None:
    """Leave that nothing can promote a release any more: its model's next proposal takes a new number."""
    words = str(error)[:LONGEST_WORDS]
    ours = Unreleasable(recipe=report.recipe, run=report.run, code=error.code, sentence=words)
    create_message(store, release_key(report.recipe, report.release, "spoilt"), ours)


def find_lineage(store: ObjectStore, found: StandingReport, public: str | None) -> Lineage | None:
    """As `read_lineage`; `None` where there is none, of a release that was never promoted say."""
    if not store.exists(_place(found)):
        return None
    return read_lineage(store, found, public)


def read_lineage(store: ObjectStore, found: StandingReport, public: str | None) -> Lineage:
    """The record of a release, held against its report and the coordinator's signature.

    Args:
        store: the bucket.
        found: the report and the word on it.
        public: the coordinator's key, base64; `None`: whoever asks does not know it, nor checks signatures.

    Raises:
        RunConflict: `lineage-missing`: there is none.
        IntegrityError: `lineage-invalid`: its signature is not the coordinator's, or it is of another report.
    """
    report, place = found.report, _place(found)
    data = store.read(place)
    if data is None:
        named = f"{report.recipe} {report.release}"
        see = f"only a release that was promoted has one; see fedcart release show {named}"
        view = read_release(store, report.recipe, report.release)
        is_promoted = view.standing in ("ready", "champion") and not view.marks
        raise RunConflict(
            f"Release {report.release} of {report.recipe} has no lineage record",
            fix=f"run fedcart release promote {named}, which writes it" if is_promoted else see,
            code="lineage-missing",
        )
    return _opened(data, place, found, public)


def gather_messages(store: ObjectStore, kept: KeptModel) -> RunMessages:
    """What the run left: its plan as stored, each round's decision and candidate, and receipts.

    Receipts are of rounds that passed, up to the one whose model is kept: it has learned nothing of others.

    Raises:
        IntegrityError: `message-missing`: a decision is gone, without which nobody knows what counted.
    """
    stored = store.read(plan_key(kept.run)) or b""
    decisions, candidates = {}, {}
    for record in kept.records:
        decisions[record.round] = pinned_decision(store, kept.run, record.round, record.decision_sha256)
        candidate = read_message(store, round_key(kept.run, record.round, "candidate"), Candidate)
        if candidate is not None:
            candidates[record.round] = candidate
    learned = [each.round for each in kept.records if each.outcome == "passed" and each.round <= kept.round]
    pinned = {
        (update.party, update.round or number): update.receipt_sha256
        for number in learned
        for update in decisions[number].accepted
    }
    receipts = {
        place: pinned_receipt(store, kept.run, *place, digest) for place, digest in sorted(pinned.items())
    }
    gone = tuple(receipt_key(party, kept.run, n) for (party, n), found in receipts.items() if found is None)
    return RunMessages(
        plan=kept.plan,
        plan_sha256=sha256_hex(stored),
        records=kept.records,
        decisions=decisions,
        candidates=candidates,
        receipts=receipts,
        missing=gone,
        retraining=retraining_of(store, kept.plan.recipe.name, kept.run),
    )


def retraining_of(store: ObjectStore, recipe: str, run: str) -> RetrainingRequest | None:
    """The retraining that began a run; `None` where drift did not, or its record cannot be read any more."""
    for name in store.list_keys(retrainings_prefix(recipe)):
        number = name.rpartition("/")[2].removesuffix(".json")
        if number.isdecimal():
            with suppress(IntegrityError):  # the watch of drift names it; here it may be any run's
                request = read_message(store, retraining_key(recipe, int(number)), RetrainingRequest)
                if request is not None and request.run == run:
                    return request
    return None


def _place(found: StandingReport) -> str:
    return release_key(found.report.recipe, found.report.release, "lineage")


def pinned_decision(store: ObjectStore, run: str, number: int, sha256: str) -> Decision:
    """The decision that a record pins.

    Raises:
        IntegrityError: `chain-broken`: it is gone, or other bytes stand there.
    """
    key = round_key(run, number, "decision")
    data = store.read(key)
    if data is None or sha256_hex(data) != sha256:
        raise IntegrityError(
            f"The decision of round {number} of run {run} {'is gone' if data is None else 'was changed'}",
            fix=f"see fedcart runs verify {run}",
            code="chain-broken",
        )
    return parse(Decision, data, key)


def pinned_receipt(store: ObjectStore, run: str, party: str, number: int, sha256: str) -> Receipt | None:
    """The receipt that a decision pins, so that admission has seen its signature; `None` when it is gone.

    Parties may take theirs away.
    """
    key = receipt_key(party, run, number)
    envelope = read_bytes_from_party(store, key, RECEIPT_LIMIT)
    if envelope is None or sha256_hex(envelope) != sha256:
        return None
    return parse(Receipt, parse(Signed, envelope, key).payload.encode(), key)


def _opened(data: bytes, place: str, found: StandingReport, public: str | None) -> Lineage:
    report = found.report
    name = f"The lineage record of release {report.release} of {report.recipe}"
    try:
        signed = parse(Signed, data, place)
        if public is not None and not verify(public, signed.payload.encode(), signed.signature):
            raise _invalid(f"{name} is not signed with the coordinator's key")
        lineage = parse(Lineage, signed.payload.encode(), place)
    except IntegrityError as error:
        if error.code != "message-invalid":
            raise
        raise _invalid(f"{name} is none of this version of fedcart") from None
    told = (lineage.recipe, lineage.release, lineage.model_sha256, lineage.report_sha256, lineage.approval)
    if told != (report.recipe, report.release, report.model_sha256, found.sha256, found.approval):
        raise _invalid(f"{name} is not of the report that stands")
    return lineage


def _invalid(what: str) -> IntegrityError:
    return IntegrityError(
        what,
        fix="run fedcart release propose with its run, which makes a release of its own",
        code="lineage-invalid",
    )
