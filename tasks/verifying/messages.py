"""All messages of a run, judged; and what those that can be trusted say of the blobs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from fedmodels.protocol.dropping import took_back
from fedmodels.protocol.messages import Candidate, Closed, Decision, Head, Plan, Receipt, Record
from tasks.verifying.blobs import Average
from tasks.verifying.chain import Chain, examine_records, judge_closed
from tasks.verifying.findings import Finding
from tasks.verifying.judging import Pin, judge
from tasks.verifying.rounds import examine_round
from tasks.verifying.snapshot import Snapshot


@dataclass(frozen=True)
class Examined:
    """What the messages of a run came to. What follows the findings comes from trusted ones only."""

    findings: tuple[Finding, ...]
    plan: Plan | None
    decisions: tuple[Decision, ...]
    models: tuple[str, ...]
    averages: tuple[Average, ...]


def examine_messages(snapshot: Snapshot) -> Examined:
    """Judge every message of the snapshot. Reads nothing else."""
    planned = _examine_plan(snapshot)
    chain = _chain(snapshot, snapshot.held(Plan).message if planned.verdict == "ok" else None)
    head = examine_records(chain)
    closed = judge_closed(chain)
    rounds = [finding for number in chain.records for finding in examine_round(chain, number)]
    findings = (planned, head, *([closed] if closed else []), *rounds)
    good = {finding.object for finding in findings if finding.verdict == "ok"}
    decisions = {n: decision for n in chain.records if (decision := chain.decision(n))}
    averages = tuple(_averages(chain, decisions, good))
    unknown = [
        Finding(f"average of round {n}", "not checked", _why_no_average(chain, n))
        for n in chain.records
        if _has_candidate(chain, n) and n not in {average.round for average in averages}
    ]
    models = tuple(dict.fromkeys(_models(chain, good)))
    kept = tuple(_without_taken_back(decision, chain.sound(n)) for n, decision in decisions.items())
    return Examined((*findings, *unknown), chain.plan, kept, models, averages)


def _without_taken_back(decision: Decision, record: Record | None) -> Decision:
    """The decision without updates that their parties took back, by the round's own record."""
    gone = took_back(record) if record else frozenset()
    accepted = tuple(update for update in decision.accepted if update.party not in gone)
    return decision.model_copy(update={"accepted": accepted}) if gone else decision


def _examine_plan(snapshot: Snapshot) -> Finding:
    """The plan, against the hash that the receipts state under the parties' signatures."""
    held = snapshot.held(Plan)
    receipts = [
        snapshot.held(Receipt, number, party).message
        for number in range(1, snapshot.last_round + 1)
        for party in snapshot.parties
    ]
    stated = Counter(receipt.plan_sha256 for receipt in receipts if receipt and receipt.plan_sha256)
    if not stated:
        return judge(snapshot, held, note="no receipt states its hash")
    digest, count = stated.most_common(1)[0]
    return judge(
        snapshot, held, pin=Pin(digest, f"{count} receipts"), note=f"{count} receipts state its hash"
    )


def _chain(snapshot: Snapshot, plan: Plan | None) -> Chain:
    head, closed = snapshot.held(Head), snapshot.held(Closed)
    numbers = range(1, snapshot.last_round + 1)
    return Chain(
        snapshot,
        plan,
        head,
        closed,
        {number: snapshot.held(Record, number) for number in numbers},
        {number: snapshot.held(Decision, number) for number in numbers},
        {number: snapshot.held(Candidate, number) for number in numbers},
    )


def _has_candidate(chain: Chain, number: int) -> bool:
    record = chain.sound(number)
    return record.candidate_sha256 is not None if record else chain.candidates[number].there


def _why_no_average(chain: Chain, number: int) -> str:
    """What an average would be computed from, and cannot be trusted."""
    if chain.plan is None:
        return "the plan is damaged"
    if chain.records[number].there and chain.sound(number) is None:
        return "the round's record, which names the decision, is damaged"
    if chain.decision(number) is None:
        return "the round's decision is damaged or gone"
    return "the round's candidate is damaged or gone, or its decision accepts nothing"


def _averages(chain: Chain, decisions: dict[int, Decision], good: set[str]) -> Iterator[Average]:
    for number, decision in decisions.items():
        record, held = chain.sound(number), chain.candidates[number]
        candidate = held.message if held.key in good else None
        model = record.candidate_sha256 if record else candidate and candidate.model_sha256
        tuning = record.fine_tuning if record else candidate and candidate.fine_tuning
        if chain.plan and decision.accepted and model:
            yield Average(
                number,
                chain.plan,
                decision,
                model,
                bool(tuning and tuning.kept),
                candidate.aggregate_sha256 if candidate else None,
                held.key,
                candidate is not None,
            )


def _models(chain: Chain, good: set[str]) -> Iterator[str]:
    """Global models that trusted messages name."""
    for number, held in chain.candidates.items():
        if (record := chain.sound(number)) and record.candidate_sha256:
            yield record.candidate_sha256
        if held.message and held.key in good:
            yield held.message.model_sha256
    head, closed = chain.head, chain.closed
    if head.message and head.key in good:
        yield from (head.message.model_sha256, head.message.best_model_sha256)
    if closed.message and closed.key in good:
        yield closed.message.model_sha256
