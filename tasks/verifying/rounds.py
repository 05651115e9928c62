"""The messages of each round but its record: announcement, receipts, decision, candidate, evaluations."""

from collections.abc import Iterator

from fedmodels.aggregation.fedavg import fedavg_weights
from fedmodels.protocol.agreement import (
    announcement_faults,
    candidate_faults,
    decision_faults,
    evaluation_faults,
)
from fedmodels.protocol.dropping import CHANGED_SINCE
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    Decision,
    Evaluation,
    Message,
    Plan,
    Receipt,
)
from fedmodels.protocol.recomputation import cohort_faults, repetition_faults, salvage_faults
from infra.keys import verify
from tasks.verifying.chain import Chain, accepted_receipts
from tasks.verifying.findings import Finding
from tasks.verifying.judging import Pin, judge
from tasks.verifying.snapshot import Held, key_of

GARBLED = frozenset(
    {"receipt-too-large", "receipt-malformed", "signature-invalid", "wrong-party", "wrong-run", "wrong-round"}
)
"""Codes of refused receipts that were never valid: that they are not valid now says nothing."""


def examine_round(chain: Chain, number: int) -> Iterator[Finding]:
    """Findings about one round, in the order in which its messages were written."""
    if number > chain.committed + 1:
        yield from _beyond(chain, number)
        return
    yield from _announcement(chain, number)
    yield from _receipts(chain, number)
    yield from _decision(chain, number)
    candidate = _candidate(chain, number)
    yield from [candidate] if candidate else []
    yield from _evaluations(chain, number, trusted=candidate is not None and candidate.verdict == "ok")
    if number in chain.findings:
        yield chain.findings[number]


def _announcement(chain: Chain, number: int) -> Iterator[Finding]:
    held = chain.snapshot.held(Announcement, number)
    if held.there or number <= chain.committed:
        before, decision = chain.head_after(number - 1), chain.decision(number)
        faults: tuple[str, ...] = ()
        if held.message:
            faults = announcement_faults(held.message, chain.plan, before, decision, chain.drawn(number))
        yield judge(chain.snapshot, held, faults=faults)


def _decision(chain: Chain, number: int) -> Iterator[Finding]:
    held, record = chain.decisions[number], chain.sound(number)
    if not held.there and number > chain.committed:
        return
    pin = Pin(record.decision_sha256, chain.records[number].key) if record else None
    faults: tuple[str, ...] = ()
    if held.message:
        receipts = accepted_receipts(chain.snapshot, held.message)
        shares = _shares(held.message, chain.plan)
        faults = decision_faults(held.message, shares, chain.head_after(number - 1), receipts)
        faults += _rule_faults(chain, held.message, number)
    yield judge(chain.snapshot, held, pin=pin, faults=faults, note=_counted(held.message))


def _rule_faults(chain: Chain, decision: Decision, number: int) -> tuple[str, ...]:
    """What does not follow from the recipe and from the rounds before, as far as these are sound."""
    faults = repetition_faults(decision, chain.decisions_before(number))
    cohort = chain.drawn(number)
    if chain.plan and cohort is not None:
        faults += cohort_faults(decision, cohort)
        faults += salvage_faults(decision, chain.before(number), chain.plan.recipe)
    return faults


def _shares(decision: Decision, plan: Plan | None) -> dict[str, float] | None:
    counts = {update.party: update.num_examples for update in decision.accepted}
    return fedavg_weights(counts, plan.recipe.weighting) if plan and counts else None


def _counted(decision: Decision | None) -> str:
    return f"{len(decision.accepted)} accepted, {len(decision.refused)} refused" if decision else ""


def _candidate(chain: Chain, number: int) -> Finding | None:
    held, record = chain.candidates[number], chain.sound(number)
    if record and record.candidate_sha256 is None:
        if held.there:
            return Finding(held.key, "unexpected", "the round's record knows of no candidate")
        return None
    if not held.there and record is None:
        return None
    faults = candidate_faults(held.message, chain.plan, record) if held.message else ()
    return judge(chain.snapshot, held, faults=faults)


def _receipts(chain: Chain, number: int) -> Iterator[Finding]:
    before, decision = chain.head_after(number - 1), chain.decision(number)
    refused = {refusal.party: refusal.code for refusal in decision.refused} if decision else {}
    pins, taken_back = _pins(chain, number), _parties_that_took_back(chain, number)
    for party in sorted({*chain.snapshot.parties, *pins}):
        held = chain.snapshot.held(Receipt, number, party)
        if not held.there and party not in pins:
            continue
        faults = _signature_faults(chain.plan, held, party)
        receipt, code = held.message, refused.get(party, "")
        if party in pins:
            if receipt and before and receipt.base_sha256 != before.model_sha256:
                faults.append("base_sha256 is not the model of which the round was made")
            verdict = judge(chain.snapshot, held, pin=pins[party], faults=faults, note="accepted")
            yield verdict if verdict.holds or party not in taken_back else _taken_back(held.key)
        elif code in GARBLED:
            yield Finding(held.key, "ok", f"refused ({code})")
        else:
            note = f"refused ({code})" if code else _uncounted(chain, number)
            yield judge(chain.snapshot, held, faults=faults, note=note)


def _uncounted(chain: Chain, number: int) -> str:
    """Said of a receipt that no decision is known to count."""
    written = chain.decisions[number].there or chain.records[number].there
    if written and chain.decision(number) is None:
        return "signed; whether it counts is not known, since the round's record or decision is damaged"
    return "not counted"


def _pins(chain: Chain, number: int) -> dict[str, Pin]:
    """Party to the hash of its receipt of this round, as the first decision that counts it says."""
    found: dict[str, Pin] = {}
    for later in chain.decisions:
        if later >= number and (decision := chain.decision(later)):
            for update in decision.accepted:
                if (update.round or decision.round) == number:
                    pin = Pin(update.receipt_sha256, chain.decisions[later].key)
                    found.setdefault(update.party, pin)  # a later decision that counts it again is named
    return found


def _parties_that_took_back(chain: Chain, number: int) -> frozenset[str]:
    """Parties whose receipt of this round was counted and then changed, as that decision's record says."""
    records = [record for later in chain.records if later >= number and (record := chain.sound(later))]
    return frozenset(
        refusal.party
        for record in records
        for refusal in record.refused
        if refusal.code == CHANGED_SINCE and (refusal.round or record.round) == number
    )


def _taken_back(key: str) -> Finding:
    return Finding(key, "not checked", f"its party took it back; the round's record says {CHANGED_SINCE}")


def _evaluations(chain: Chain, number: int, *, trusted: bool) -> Iterator[Finding]:
    record = chain.sound(number)
    candidate = chain.candidates[number].message if trusted else None
    rows = record.parties if record else {}
    for party in sorted({*chain.snapshot.parties, *rows}):
        held = chain.snapshot.held(Evaluation, number, party)
        counted = party in rows and rows[party].metrics is not None
        if not held.there and not counted:
            continue
        faults = _signature_faults(chain.plan, held, party)
        if held.message:
            faults += evaluation_faults(held.message, candidate, record)
        yield judge(chain.snapshot, held, faults=faults, note="" if counted else "not counted")


def _signature_faults(plan: Plan | None, held: Held[Message], party: str) -> list[str]:
    if plan is None or held.envelope is None:
        return []
    key = plan.parties.get(party)
    if key and verify(key, held.envelope.payload.encode(), held.envelope.signature):
        return []
    return [f"it is not signed with the key that the plan names for {party}"]


def _beyond(chain: Chain, number: int) -> Iterator[Finding]:
    """A round above the one that can be open."""
    kinds: tuple[type[Message], ...] = (Announcement, Decision, Candidate, Receipt, Evaluation)
    for kind in kinds:
        parties = chain.snapshot.parties if kind in (Receipt, Evaluation) else ("",)
        for party in parties:
            key = key_of(kind, chain.snapshot.run, number, party)
            if key in chain.snapshot.objects:
                yield Finding(key, "unexpected", f"the run stands at round {chain.committed}")
