"""The chain: HEAD names the last record, and each record the one before it. What it proves of each.

The walk goes down from HEAD. A record with the hash that a trusted message names is the one that was
written; a record that is damaged proves nothing about the one below it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from fedmodels.protocol.agreement import closed_faults, head_faults, misspelt, record_faults
from fedmodels.protocol.messages import Candidate, Closed, Decision, Head, Plan, Receipt, Record
from fedmodels.protocol.progress import follow, last_passed, opening_head, why_finished
from fedmodels.protocol.recomputation import drawn_cohort, dropping_faults, quorum_faults
from tasks.verifying.findings import Finding, told_apart
from tasks.verifying.judging import Pin, judge
from tasks.verifying.snapshot import Held, Snapshot
from validation.gates import round_gate


@dataclass
class Chain:
    """A run's records with what is proved of them. `plan` is `None` where the plan cannot be trusted."""

    snapshot: Snapshot
    plan: Plan | None
    head: Held[Head]
    closed: Held[Closed]
    records: Mapping[int, Held[Record]]
    decisions: Mapping[int, Held[Decision]]
    candidates: Mapping[int, Held[Candidate]]
    findings: dict[int, Finding] = field(default_factory=dict)
    """Of the records, by round."""
    heads: list[Head] = field(default_factory=list)
    """HEAD after 0, 1, … rounds, as far as all of their records are sound."""

    @cached_property
    def committed(self) -> int:
        """The last round that is closed, from all that says so."""
        head, closed = self.head.message, self.closed.message
        present = max((number for number, held in self.records.items() if held.there), default=0)
        closes = closed.rounds if closed and closed.rounds <= self.snapshot.last_round else 0
        if head is None:
            return max(present, closes)
        named = [n for n, held in self.records.items() if held.sha256 == head.record_sha256 and held.there]
        stands = named[0] if named else min(head.round, self.snapshot.last_round)
        return max(present, closes) if present > stands + 1 or closes > stands else stands

    @property
    def rolled_back(self) -> bool:
        """Whether HEAD stands below rounds that are closed."""
        head = self.head.message
        return head is not None and head.round < self.committed and self._named_round != self.committed

    @property
    def _named_round(self) -> int:
        head = self.head.message
        if head is None or head.record_sha256 is None:
            return 0
        return next((n for n, held in self.records.items() if held.sha256 == head.record_sha256), 0)

    def sound(self, number: int) -> Record | None:
        """The round's record, if nothing speaks against it."""
        finding = self.findings.get(number)
        return self.records[number].message if finding and finding.verdict in ("ok", "disagrees") else None

    def decision(self, number: int) -> Decision | None:
        """The round's decision, if it has the hash that its record names, or no record stands yet."""
        held, record = self.decisions[number], self.sound(number)
        if record is None:
            in_place = held.message is not None and held.message.round == number
            return held.message if in_place and not self.records[number].there else None
        return held.message if held.sha256 == record.decision_sha256 else None

    def head_after(self, number: int) -> Head | None:
        """HEAD as the records of the first `number` rounds make it, if all of them are sound."""
        return self.heads[number] if number < len(self.heads) else None

    def before(self, number: int) -> list[Record]:
        """Sound records of earlier rounds, in order."""
        return [record for n in range(1, number) if (record := self.sound(n))]

    def decisions_before(self, number: int) -> list[Decision]:
        """Trusted decisions of earlier rounds, in order."""
        return [decision for n in range(1, number) if (decision := self.decision(n))]

    def drawn(self, number: int) -> tuple[str, ...] | None:
        """The round's cohort, drawn again, if the plan and all earlier records are sound."""
        before = self.head_after(number - 1)
        return drawn_cohort(self.plan, before, self.before(number)) if self.plan and before else None

    def settle(self) -> None:
        """Follow the records as far as they are sound, once the first look at all of them is done."""
        self.heads = self.follow([self.sound(number) for number in self.records])

    def follow(self, records: Iterable[Record | None]) -> list[Head]:
        """HEAD as these records make it, one after the other, up to the first that is missing.

        Nothing at all where the plan cannot be trusted.
        """
        if self.plan is None:
            return []
        heads = [opening_head(self.snapshot.run, self.plan.base_model_sha256)]
        earlier: list[Record] = []
        for number, record in enumerate(records, start=1):
            if record is None or record.round != number:
                break
            moved = follow(heads[-1], record, earlier, self.plan.recipe)
            heads.append(moved.model_copy(update={"record_sha256": self.records[number].sha256}))
            earlier.append(record)
        return heads

    def stated(self, number: int) -> Head | None:
        """HEAD as the records of the first `number` rounds make it, sound or not."""
        heads = self.follow(self.records[n].message for n in range(1, number + 1))
        return heads[number] if len(heads) > number else None


def examine_records(chain: Chain) -> Finding:
    """Judge every record, from the last one down; return the finding about HEAD.

    Where HEAD and the last record contradict each other, that one is named which does not fit the rest.
    """
    snapshot, last = chain.snapshot, chain.committed
    ahead = chain.records.get(last + 1)
    if ahead and ahead.there:
        chain.findings[last + 1] = judge(snapshot, ahead, faults=_record_faults(chain, last + 1, loose=True))
    blamed = _blame_head(chain)
    pins: dict[int, Pin] = {}
    for number in range(last, 0, -1):
        held = chain.records[number]
        pin = None if number == last and blamed else _pin(chain, number)
        if pin and pin.sha256 == held.sha256:
            pins[number] = pin
        faults = [] if number in pins else _record_faults(chain, number, loose=True)
        chain.findings[number] = judge(snapshot, held, pin=pin, faults=faults)
    chain.settle()
    for number, pin in pins.items():  # only now it is known which of the earlier ones are sound
        faults = _record_faults(chain, number, loose=False)
        chain.findings[number] = judge(snapshot, chain.records[number], pin=pin, faults=faults)
    return _judge_head(chain, blamed)


def _judge_head(chain: Chain, blamed: str) -> Finding:
    head, last = chain.head, chain.committed
    faults = [blamed] if blamed else []
    expected = chain.head_after(last)
    if head.message and expected:
        faults += [fault for fault in head_faults(head.message, expected) if fault not in faults]
    elif head.message and head.message.round != last:
        faults.append(f"round is {head.message.round}, not {last}")
    note = f"round {last}, epoch {head.message.epoch}" if head.message else ""
    return judge(chain.snapshot, head, faults=faults, note=note)


def _blame_head(chain: Chain) -> str:
    """Why HEAD and not the last record is to blame for their contradiction; empty when it is not."""
    head, last = chain.head.message, chain.committed
    if head is None or last == 0:
        return ""
    if chain.rolled_back:
        return f"it stands at round {head.round}, and records stand up to round {last}"
    held = chain.records[last]
    if held.message is None or held.sha256 == head.record_sha256 or held.message.round != last:
        return ""
    if not held.canonical or _record_faults(chain, last, loose=True):
        return ""
    named = head.record_sha256 or ""
    provisional = chain.stated(last)
    others = head_faults(head, provisional.model_copy(update={"record_sha256": named})) if provisional else ()
    if not named or others or misspelt(named, held.sha256 or ""):
        return "record_sha256 is {}, not {}".format(*told_apart(named, held.sha256))
    return ""


def _pin(chain: Chain, number: int) -> Pin | None:
    """Who names this record's hash, if it can be trusted."""
    head = chain.head.message
    if number == chain.committed and head and head.record_sha256 and not chain.rolled_back:
        return Pin(head.record_sha256, chain.head.key)
    following = chain.records.get(number + 1)
    if following is None or following.message is None or chain.sound(number + 1) is None:
        return None
    named = following.message.previous_sha256
    return Pin(named, following.key) if named else None


def _record_faults(chain: Chain, number: int, *, loose: bool) -> list[str]:
    """What in the record does not follow from the rest.

    `loose`: no trusted hash holds the record, so it answers for every contradiction; otherwise only for
    those with messages that are themselves held by a hash.
    """
    record = chain.records[number].message
    if record is None or record.round != number:
        return []
    decided = chain.decisions[number]
    own = decided.sha256 == record.decision_sha256
    decision = decided.message if own else None
    before = chain.stated(number - 1) if loose else chain.head_after(number - 1)
    candidate = chain.candidates[number].message if loose else None
    if candidate and candidate.round != number:
        candidate = None
    receipts = accepted_receipts(chain.snapshot, decision) if decision else {}
    faults = list(record_faults(record, before, decision, candidate, receipts))
    if loose and decided.there and not own:
        faults.append("decision_sha256 is not that of the round's decision")
    if decision and chain.plan:
        faults += quorum_faults(record, decision, chain.plan.recipe)
    if decision and chain.plan and before and not loose:
        faults += dropping_faults(record, decision, chain.plan, chain.before(number))
    if before and not loose:
        faults += _gate_faults(chain, record, number)
    return faults


def _gate_faults(chain: Chain, record: Record, number: int) -> list[str]:
    """Whether the gate, asked again with the recorded scores, says the same."""
    if chain.plan is None or record.candidate_sha256 is None:
        return []
    recipe, good = chain.plan.recipe, last_passed(chain.before(number))
    rows = good.parties if good else {}
    scores = {
        party: (rows[party].metrics if party in rows else None, row.metrics)
        for party, row in record.parties.items()
    }
    norms = {party: record.parties[party].update_norm or 0.0 for party in record.accepted}
    asked = round_gate(
        recipe.gate, recipe.key_metric, good.metrics if good else None, record.metrics, scores, norms
    )
    if asked.passed == record.gate.passed:
        return []
    return [f"its gate says {'passed' if record.gate.passed else 'refused'}, and its scores say otherwise"]


def accepted_receipts(snapshot: Snapshot, decision: Decision) -> dict[str, Receipt]:
    """Party to the receipt that the decision pins, as far as it stands unchanged."""
    found = {}
    for update in decision.accepted:
        held = snapshot.held(Receipt, update.round or decision.round, update.party)
        if held.message and held.sha256 == update.receipt_sha256:
            found[update.party] = held.message
    return found


def judge_closed(chain: Chain) -> Finding | None:
    """The finding about `closed.json`; none while the run is open and may be."""
    closed, plan = chain.closed, chain.plan
    if not closed.there:
        head = chain.head_after(chain.committed)
        over = plan and head and why_finished(head, chain.before(chain.committed + 1), plan.recipe)
        if not over:
            return None
        hint = "all rounds are played, so it was deleted, or the coordinator died before it wrote it"
        return Finding(closed.key, "deleted", hint)
    if closed.message is None:
        return judge(chain.snapshot, closed)
    rounds = closed.message.rounds
    faults = []
    if closed.message.status != "cancelled" and rounds != chain.committed:
        faults.append(f"rounds is {rounds}, not {chain.committed}")
    elif rounds <= chain.committed:
        records = chain.before(rounds + 1)
        faults += closed_faults(closed.message, plan, chain.head_after(rounds), records)
    else:
        faults.append(f"rounds is {rounds}, and {chain.committed} are closed")
    return judge(chain.snapshot, closed, faults=faults, note=closed.message.status)
