"""Where a released model comes from, as one message: `lineage.json`, create-only and signed.

Pure: it is made of the run's messages and the release's, and of nothing else, so that whoever reads those
makes the same one. It pins what it names by SHA-256; what stands here besides is for people, and for those
who come when the run itself has been removed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from fedmodels.identifiers import Identifier
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import (
    AcceptedUpdate,
    Candidate,
    Count,
    Decision,
    Environment,
    EnvironmentWhereKnown,
    FineTuningResult,
    GateResult,
    Message,
    Metrics,
    OptionalSha256,
    PinnedSet,
    Plan,
    Receipt,
    Record,
    Refusal,
    Sha256,
    WhereItBegins,
)
from fedmodels.protocol.releases import (
    Approval,
    ReleaseCheck,
    ReleaseNumber,
    ReleaseReport,
    ReleaseRequest,
    Words,
)
from fedmodels.protocol.retraining import RetrainingRequest
from fedmodels.recipe import Recipe


class DataVersion(Message):
    """What a party says of the rows behind its updates: a hash under its own key, and counts. No value."""

    party: Identifier
    data_hash: str
    """Changes when the rows do; nobody without the party's key can tell from it what they are."""
    version: OptionalSha256 = None
    """Keyed hash of the tables that the rows come from, as the party pinned them, where it says so."""
    train_rows: Count
    holdout_rows: Count
    contract_passed: bool
    failed_expectations: tuple[str, ...]
    environments: tuple[Environment, ...]
    """On which it trained; empty where the party keeps that to itself."""
    rounds: tuple[ReleaseNumber, ...]
    """Whose receipts name this version; of an update that was salvaged, the round of its receipt."""


class LineageRound(Message):
    """One closed round: which updates count, what came of them, and the gate's word."""

    round: ReleaseNumber
    outcome: str
    record_sha256: Sha256
    decision_sha256: Sha256
    base_sha256: Sha256
    accepted: tuple[AcceptedUpdate, ...]
    refused: tuple[Refusal, ...]
    aggregate_sha256: OptionalSha256 = None
    candidate_sha256: Sha256 | None
    model_sha256: Sha256
    """The good model after the round."""
    fine_tuning: FineTuningResult | None
    gate: GateResult
    metrics: Metrics | None
    environment: EnvironmentWhereKnown = None
    """Of the coordinator that closed it, where it is not that of the run."""


class DriftAnswered(Message):
    """The drift that the training answered: the notices, by key, and the parties that left them."""

    number: ReleaseNumber
    parties: tuple[Identifier, ...]
    notices: tuple[str, ...]
    reason: Words


class WithdrawalAnswered(Message):
    """What was withdrawn and the training went without: the notices, by key, and the parties of them."""

    number: ReleaseNumber
    parties: tuple[Identifier, ...]
    notices: tuple[str, ...]
    without: tuple[Identifier, ...]
    """Parties that left, and so took no part."""
    reason: Words


class PrivacySpent(Message):
    """What a party has spent of its privacy budget in the run."""

    epsilon: Annotated[float, Field(ge=0.0)]
    delta: Annotated[float, Field(ge=0.0, le=1.0)]


class Lineage(Message):
    """`lineage.json` of a release."""

    recipe: Identifier
    release: ReleaseNumber
    run: Identifier
    round: ReleaseNumber
    """In which the model passed the gate."""
    model_sha256: Sha256
    champion_release: ReleaseNumber | None = None
    """The release that it was compared with."""
    champion_model_sha256: OptionalSha256 = None
    plan_sha256: Sha256
    training: Recipe
    """The whole recipe, without any path."""
    training_sha256: Sha256
    labels: tuple[str, ...]
    base_model: str
    """The recipe's name of it: a package, a hub id, or that it was a folder or random."""
    base_model_sha256: Sha256
    begins_from: WhereItBegins = None
    """The model of an earlier run that is meant by that hash, where it is not the recipe's base model."""
    architecture_sha256: Sha256
    parties: tuple[Identifier, ...]
    sets: dict[str, PinnedSet]
    """The coordinator's own."""
    environment: EnvironmentWhereKnown = None
    data: tuple[DataVersion, ...]
    rounds: tuple[LineageRound, ...]
    drift: DriftAnswered | None = None
    withdrawal: Annotated[
        WithdrawalAnswered | None, Field(exclude_if=lambda withdrawal: withdrawal is None)
    ] = None
    """Not written where there is none, as in every record of before it could be: `drift` held its reason."""
    privacy: dict[Identifier, PrivacySpent] = Field({})
    """Empty where the recipe keeps no budget."""
    report_sha256: Sha256
    checks: tuple[ReleaseCheck, ...]
    approval: Approval | None
    """A person's word; `None` where the recipe asks nobody."""
    signature_sha256: OptionalSha256 = None
    """Of `signature.json`, which signs the model's files; `None` of a release of before there were any."""
    missing: tuple[str, ...] = ()
    """Keys of what the run's messages name and the bucket no longer holds."""

    @property
    def start(self) -> str:
        """What the first round started from, for people."""
        start = self.begins_from
        return f"the model of {start.run} after round {start.round}" if start else self.base_model

    @property
    def code(self) -> str:
        """Commit that the coordinator ran, empty when it is not known."""
        return self.environment.code if self.environment else ""


@dataclass(frozen=True)
class RunMessages:
    """All that a closed run left, as `lineage_of` takes it.

    `receipts` holds one for each update that the model learned from, by party and the round of the receipt;
    `None` for one that is gone.
    """

    plan: Plan
    plan_sha256: str
    records: Sequence[Record]
    decisions: Mapping[int, Decision]
    candidates: Mapping[int, Candidate]
    receipts: Mapping[tuple[str, int], Receipt | None]
    missing: tuple[str, ...] = ()
    retraining: RetrainingRequest | None = None


def lineage_of(
    messages: RunMessages,
    request: ReleaseRequest,
    report: ReleaseReport,
    report_sha256: str,
    approval: Approval | None,
    signature_sha256: str | None = None,
) -> Lineage:
    """The record of a release: every argument is a message that stands in the bucket, or the hash of one."""
    plan = messages.plan
    retraining = messages.retraining
    return Lineage(
        recipe=request.recipe,
        release=request.release,
        run=request.run,
        round=request.round,
        model_sha256=request.model_sha256,
        champion_release=request.champion_release,
        champion_model_sha256=request.champion_model_sha256,
        plan_sha256=messages.plan_sha256,
        training=plan.recipe,
        training_sha256=sha256_hex(canonical_json(plan.recipe)),
        labels=plan.labels,
        base_model=plan.recipe.model.source if plan.recipe.model.init == "pretrained" else "random",
        base_model_sha256=plan.base_model_sha256,
        begins_from=plan.begins_from,
        architecture_sha256=plan.architecture_sha256,
        parties=tuple(sorted(plan.parties)),
        sets=plan.sets or {},
        environment=plan.environment,
        data=_data_versions(messages.receipts),
        rounds=tuple(_round(messages, record) for record in messages.records),
        drift=_drift(retraining),
        withdrawal=_withdrawal(retraining),
        report_sha256=report_sha256,
        checks=report.checks,
        approval=approval,
        signature_sha256=signature_sha256,
        missing=messages.missing,
    )


def _drift(retraining: RetrainingRequest | None) -> DriftAnswered | None:
    if retraining is None or retraining.withdrawals:
        return None
    return DriftAnswered(
        number=retraining.number,
        parties=retraining.parties,
        notices=retraining.notices,
        reason=retraining.reason,
    )


def _withdrawal(retraining: RetrainingRequest | None) -> WithdrawalAnswered | None:
    if retraining is None or not retraining.withdrawals:
        return None
    return WithdrawalAnswered(
        number=retraining.number,
        parties=retraining.parties,
        notices=retraining.withdrawals,
        without=retraining.without,
        reason=retraining.reason,
    )


def environments_of(lineage: Lineage) -> tuple[Environment, ...]:
    """Every environment that had a part in the model, the coordinator's first, each once."""
    found = [
        *([lineage.environment] if lineage.environment else []),
        *(each.environment for each in lineage.rounds if each.environment),
        *(environment for version in lineage.data for environment in version.environments),
    ]
    return tuple(dict.fromkeys(found))


def _round(messages: RunMessages, record: Record) -> LineageRound:
    decision, candidate = messages.decisions[record.round], messages.candidates.get(record.round)
    return LineageRound(
        round=record.round,
        outcome=record.outcome,
        record_sha256=sha256_hex(canonical_json(record)),
        decision_sha256=record.decision_sha256,
        base_sha256=decision.base_sha256,
        accepted=decision.accepted,
        refused=record.refused,
        aggregate_sha256=candidate.aggregate_sha256 if candidate else None,
        candidate_sha256=record.candidate_sha256,
        model_sha256=record.model_sha256,
        fine_tuning=record.fine_tuning,
        gate=record.gate,
        metrics=record.metrics,
        environment=record.environment,
    )


def _data_versions(receipts: Mapping[tuple[str, int], Receipt | None]) -> tuple[DataVersion, ...]:
    """One entry for each party, hash and pinned version, in the order of parties and then of rounds."""
    grouped: dict[tuple[str, str, str | None], list[Receipt]] = {}
    for (party, _), receipt in sorted(receipts.items()):
        if receipt is not None:
            version = receipt.version.keyed_hash if receipt.version else None
            grouped.setdefault((party, receipt.data_hash, version), []).append(receipt)
    return tuple(_data_version(*told, found) for told, found in grouped.items())


def _data_version(
    party: str, data_hash: str, version: str | None, receipts: Sequence[Receipt]
) -> DataVersion:
    report = next((receipt.data for receipt in reversed(receipts) if receipt.data), None)
    environments = [receipt.environment for receipt in receipts if receipt.environment]
    return DataVersion(
        party=party,
        data_hash=data_hash,
        version=version,
        train_rows=report.train_rows if report else 0,
        holdout_rows=report.holdout_rows if report else 0,
        contract_passed=report.contract_passed if report else False,
        failed_expectations=report.failed_expectations if report else (),
        environments=tuple(dict.fromkeys(environments)),
        rounds=tuple(receipt.round for receipt in receipts),
    )
