"""Closing a round (record, then HEAD) and closing a run (the kept model, as a folder)."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import task

from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    Closed,
    Decision,
    Evaluation,
    GateResult,
    Metrics,
    PartyRow,
    Record,
    RoundBytes,
)
from fedmodels.protocol.progress import follow
from fedmodels.protocol.timing import round_seconds
from infra.layout import closed_key, round_key
from infra.locations import runs_folder
from tasks.coordinator.collecting import Collected
from tasks.coordinator.opening import move_head
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import create_message, message_sha256, read_message
from tasks.policy import STORE
from tasks.released import write_model_folder
from tasks.tagging import tagged


@task(task_run_name="close_round · round {announcement.round}", **STORE)
@tagged
def close_round(
    run: CoordinatorRun,
    announcement: Announcement,
    decision: Decision,
    collected: Sequence[Collected],
    candidate: Candidate | None = None,
    evaluations: Mapping[str, Evaluation | None] | None = None,
    holdout: Metrics | None = None,
    gate: GateResult | None = None,
) -> Record:
    """Write the record, which commits the round, then move HEAD; its model only if the gate passed."""
    head, now = run.head, time.perf_counter()
    passed = gate is not None and gate.passed and candidate is not None
    rows = _party_rows(collected, evaluations or {})
    record = Record(
        run=run.run,
        round=announcement.round,
        previous_sha256=head.record_sha256,
        outcome="passed" if passed else "gate-refused" if gate else "quorum-missed",
        decision_sha256=message_sha256(decision),
        model_sha256=candidate.model_sha256 if passed and candidate else head.model_sha256,
        candidate_sha256=candidate.model_sha256 if candidate else None,
        accepted=tuple(update.party for update in decision.accepted),
        refused=decision.refused,
        metrics=candidate.metrics if candidate else None,
        holdout=holdout,
        parties=rows,
        fine_tuning=candidate.fine_tuning if candidate else None,
        gate=gate or _quorum_missed(run, decision),
        seconds=round_seconds(run.watch.intervals(), run.round_began, now),
        bytes=RoundBytes(
            up=sum(row.bytes_up for row in rows.values()), down=sum(row.bytes_down for row in rows.values())
        ),
    )
    run.round_began = now
    return commit_record(run, create_message(run.store, round_key(run.run, record.round, "record"), record))


def commit_record(run: CoordinatorRun, record: Record) -> Record:
    """Let HEAD follow a record that stands in the store."""
    move_head(run, follow(run.head, record, run.records, run.plan.recipe))
    run.records.append(record)
    return record


def standing_record(run: CoordinatorRun, round_number: int) -> Record | None:
    """The record that an earlier coordinator wrote for this round before it died, if any."""
    return read_message(run.store, round_key(run.run, round_number, "record"), Record)


@task(task_run_name="close_run · {run.run}", **STORE)
@tagged
def close_run(run: CoordinatorRun, status: str, code: str = "", reason: str = "") -> Closed:
    """Write the kept model as a folder that `from_pretrained` loads, then `closed.json`."""
    best = next((record for record in run.records if record.round == run.head.best_round), None)
    closed = Closed(
        run=run.run,
        status=status,
        code=code,
        reason=reason,
        model_sha256=run.head.best_model_sha256,
        rounds=run.head.round,
        final=best.holdout if best else None,
        seconds=round(time.perf_counter() - run.begin, 3),
    )
    if best is not None:
        write_model_folder(run.store, run.plan, closed.model_sha256, model_folder(run.home, run.run))
    return create_message(run.store, closed_key(run.run), closed)


def model_folder(home: Path, run: str) -> Path:
    """Where the kept model of a run is written on the coordinator's machine."""
    return runs_folder(home) / run / "model"


def _party_rows(
    collected: Sequence[Collected], evaluations: Mapping[str, Evaluation | None]
) -> dict[str, PartyRow]:
    rows = {}
    for item in collected:
        receipt, evaluation = item.receipt, evaluations.get(item.party)
        if receipt is None:
            rows[item.party] = PartyRow(metrics=evaluation.metrics if evaluation else None)
            continue
        rows[item.party] = PartyRow(
            num_examples=receipt.num_examples,
            train_loss=receipt.metrics.get("train_loss"),
            update_norm=receipt.update_norm,
            metrics=evaluation.metrics if evaluation else None,
            seconds=round(sum(receipt.seconds.values()), 3),
            bytes_up=receipt.update_bytes,
            bytes_down=evaluation.bytes_down if evaluation else receipt.bytes_down,
            cleaned=receipt.data.cleaned if receipt.data else {},
            warnings=receipt.data.failed_expectations if receipt.data else (),
            flow_run_id=receipt.flow_run_id,
        )
    return rows


def _quorum_missed(run: CoordinatorRun, decision: Decision) -> GateResult:
    required = run.plan.recipe.min_available_parties
    why = "; ".join(f"{refusal.party}: {refusal.code}" for refusal in decision.refused)
    return GateResult(
        passed=False,
        reasons=(
            f"{len(decision.accepted)} updates were accepted, {required} are required ({why}): refused.",
        ),
    )
