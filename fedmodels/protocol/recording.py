"""The messages that close a round and a run, from what the coordinator knows."""

from collections.abc import Mapping, Sequence
from typing import Literal

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.deciding import Collected, changed_since
from fedmodels.protocol.messages import (
    Closed,
    DataReport,
    Decision,
    Environment,
    Evaluation,
    GateResult,
    Head,
    PartyRow,
    Record,
    Refusal,
    RoundBytes,
    RoundSeconds,
)
from fedmodels.protocol.state import RunState
from fedmodels.words import counted

Status = Literal["finished", "cancelled", "failed"]

NO_FINITE_AVERAGE = GateResult(
    passed=False, reasons=("The average of the updates leaves the range of float32: refused.",)
)
"""The gate's word where there is not even a candidate: the decision stands, and its average is no model."""


def record_of(state: RunState, seconds: RoundSeconds, environment: Environment | None = None) -> Record:
    """The record of the open round: passed, refused by the gate, or without its quorum.

    Args:
        state: with the round's decision and what was collected; with candidate and verdict, unless too few
            updates were accepted; with the verdict `NO_FINITE_AVERAGE` alone where they have no average.
        seconds: how long the round took.
        environment: of the coordinator that closes the round.
    """
    decision, verdict, candidate = state.decision, state.verdict, state.candidate
    assert decision is not None and state.collected is not None
    changed = changed_since(decision, state.collected.items)
    gate = verdict.gate if verdict else _without_candidate(state, decision, changed)
    passed = verdict is not None and gate.passed and candidate is not None
    rows = party_rows(state.collected.items, verdict.evaluations if verdict else {})
    return Record(
        run=state.plan.run,
        round=state.open_round,
        previous_sha256=state.head.record_sha256,
        outcome="passed" if passed else "gate-refused" if verdict or changed else "quorum-missed",
        decision_sha256=sha256_hex(canonical_json(decision)),
        model_sha256=candidate.model_sha256 if passed and candidate else state.head.model_sha256,
        candidate_sha256=candidate.model_sha256 if candidate else None,
        accepted=tuple(update.party for update in decision.accepted),
        refused=(*decision.refused, *changed),
        metrics=candidate.metrics if candidate else None,
        holdout=verdict.holdout if verdict else None,
        parties=rows,
        fine_tuning=candidate.fine_tuning if candidate else None,
        gate=gate,
        environment=None if environment == state.plan.environment else environment,
        dropped=verdict.dropped if verdict else None,
        seconds=seconds,
        bytes=RoundBytes(
            up=sum(row.bytes_up for row in rows.values()), down=sum(row.bytes_down for row in rows.values())
        ),
    )


def closing(
    head: Head, records: Sequence[Record], status: Status, code: str, reason: str, seconds: float
) -> Closed:
    """`closed.json`: the best model so far is kept. HEAD stays where it is."""
    best = next((record for record in records if record.round == head.best_round), None)
    return Closed(
        run=head.run,
        status=status,
        code=code,
        reason=reason,
        model_sha256=head.best_model_sha256,
        rounds=head.round,
        final=best.holdout if best else None,
        seconds=seconds,
    )


def _without_candidate(state: RunState, decision: Decision, changed: Sequence[Refusal]) -> GateResult:
    """Why there is no candidate to judge: an update is not what it was, or too few came in time."""
    if changed:
        reasons = tuple(f"{refusal.reason.rstrip('.')}: refused." for refusal in changed)
        return GateResult(passed=False, reasons=reasons)
    fresh = sum(update.round is None for update in decision.accepted)
    required = state.plan.recipe.min_available_parties
    why = "; ".join(f"{refusal.party}: {refusal.code}" for refusal in decision.refused)
    accepted = f"{counted(fresh, 'update')} {'was' if fresh == 1 else 'were'} accepted"
    return GateResult(
        passed=False,
        reasons=(f"{accepted}, {required} {'is' if required == 1 else 'are'} required ({why}).",),
    )


def party_rows(
    collected: Sequence[Collected], evaluations: Mapping[str, Evaluation | None]
) -> dict[str, PartyRow]:
    """One row a party; of a party that is late and has a salvaged update, the row of that one."""
    rows: dict[str, PartyRow] = {}
    for item in sorted(collected, key=lambda item: (item.round is not None, item.refusal is None)):
        evaluation = evaluations.get(item.party)
        if item.receipt is None:
            rows.setdefault(item.party, _row_without_update(item.report, evaluation))
        else:
            rows[item.party] = _row(item, evaluation)
    return rows


def _row_without_update(report: DataReport | None, evaluation: Evaluation | None) -> PartyRow:
    return PartyRow(
        metrics=evaluation.metrics if evaluation else None,
        champion=evaluation.champion_metrics if evaluation else None,
        cleaned=report.cleaned if report else {},
        warnings=report.failed_expectations if report else (),
    )


def _row(item: Collected, evaluation: Evaluation | None) -> PartyRow:
    receipt = item.receipt
    assert receipt is not None
    return PartyRow(
        num_examples=receipt.num_examples,
        train_loss=receipt.metrics.get("train_loss"),
        update_norm=receipt.update_norm,
        metrics=evaluation.metrics if evaluation else None,
        champion=evaluation.champion_metrics if evaluation else None,
        seconds=round(sum(receipt.seconds.values()), 3),
        bytes_up=receipt.update_bytes,
        bytes_down=evaluation.bytes_down if evaluation else receipt.bytes_down,
        cleaned=receipt.data.cleaned if receipt.data else {},
        warnings=receipt.data.failed_expectations if receipt.data else (),
        flow_run_id=receipt.flow_run_id,
    )
