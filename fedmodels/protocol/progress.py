"""Where a run stands: how HEAD moves with a record, when a run is over, which model is kept.

Pure functions over messages; `records` is the list of closed rounds in order.
"""

from collections.abc import Sequence

from fedmodels.errors import RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Closed, Head, Metrics, Record
from fedmodels.recipe import Recipe


def improves(key_metric: str, candidate: Metrics, standing: Metrics, min_delta: float = 0.0) -> bool:
    """Whether `candidate` beats `standing` by more than `min_delta`; a lower `loss` is better."""
    gain = float(getattr(candidate, key_metric)) - float(getattr(standing, key_metric))
    return (-gain if key_metric == "loss" else gain) > min_delta


def opening_head(run: str, base_model_sha256: str, owner: str = "") -> Head:
    """HEAD before the first round: the base model is good, since there is nothing else."""
    return Head(
        run=run,
        epoch=1,
        owner=owner,
        round=0,
        record_sha256=None,
        model_sha256=base_model_sha256,
        best_model_sha256=base_model_sha256,
        best_round=0,
        passed_rounds=0,
        failed_rounds=0,
    )


def takeover(head: Head, owner: str) -> Head:
    """HEAD with the next epoch, of `owner`."""
    return head.model_copy(update={"epoch": head.epoch + 1, "owner": owner})


def is_taken(ours: Head, standing: Head) -> bool:
    """Whether a standing HEAD is another coordinator's than the one that wrote `ours`.

    Of two that resume at once, both write the same epoch, and one of them wins.
    """
    return standing.epoch > ours.epoch or standing.owner != ours.owner


def follow(head: Head, record: Record, records: Sequence[Record], recipe: Recipe) -> Head:
    """HEAD after `record`: its round always moves, its model only when the gate passed.

    Args:
        head: HEAD before the round.
        record: the round that was just closed.
        records: the rounds closed before it.
        recipe: names the metric by which the best model is chosen.
    """
    passed = record.outcome == "passed"
    best = next((earlier for earlier in records if earlier.round == head.best_round), None)
    min_delta = recipe.early_stopping.min_delta if recipe.early_stopping else 0.0
    is_best = passed and (
        best is None
        or (
            record.metrics is not None
            and best.metrics is not None
            and improves(recipe.key_metric, record.metrics, best.metrics, min_delta)
        )
    )
    return head.model_copy(
        update={
            "round": record.round,
            "record_sha256": sha256_hex(canonical_json(record)),
            "model_sha256": record.model_sha256,
            "best_model_sha256": record.model_sha256 if is_best else head.best_model_sha256,
            "best_round": record.round if is_best else head.best_round,
            "passed_rounds": head.passed_rounds + passed,
            "failed_rounds": head.failed_rounds + (not passed),
        }
    )


def why_finished(head: Head, records: Sequence[Record], recipe: Recipe) -> str | None:
    """Why no further round is needed, or `None`."""
    if head.passed_rounds >= recipe.num_rounds:
        return f"{head.passed_rounds} of {recipe.num_rounds} rounds passed"
    if recipe.early_stopping and head.best_round:
        stale = sum(r.outcome == "passed" and r.round > head.best_round for r in records)
        if stale >= recipe.early_stopping.patience:
            return (
                f"no better {recipe.key_metric} in {stale} rounds (patience {recipe.early_stopping.patience})"
            )
    return None


def refuse_closed(closed: Closed | None) -> None:
    """Let nobody resume a run that is over.

    Raises:
        RunConflict: `closed` says so.
    """
    if closed is not None:
        raise RunConflict(
            f"The run {closed.run} is {closed.status} and cannot be resumed",
            fix="start a new one with fedcart train",
            code="run-closed",
        )


def why_refused(record: Record) -> str:
    """The sentences of the gate that speak against the candidate, without the last full stop."""
    against = [reason for reason in record.gate.reasons if reason.rstrip(".").endswith("refused")]
    return " ".join(against or record.gate.reasons).rstrip(".")


def last_passed(records: Sequence[Record]) -> Record | None:
    """The latest round whose candidate became the good model."""
    return next((record for record in reversed(records) if record.outcome == "passed"), None)
