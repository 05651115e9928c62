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
    is_best = passed and _beats(record, best, recipe.key_metric)
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


def _beats(record: Record, standing: Record | None, key_metric: str, min_delta: float = 0.0) -> bool:
    """Whether a passed round scores better on validation than an earlier one; the first has none to beat."""
    if standing is None:
        return True
    if record.metrics is None or standing.metrics is None:
        return False
    return improves(key_metric, record.metrics, standing.metrics, min_delta)


def why_finished(head: Head, records: Sequence[Record], recipe: Recipe) -> str | None:
    """Why no further round is needed, or `None`."""
    if head.passed_rounds >= recipe.num_rounds:
        return f"{head.passed_rounds} of {recipe.num_rounds} rounds passed"
    if stopping := recipe.early_stopping:
        stale = _rounds_without_gain(records, recipe.key_metric, stopping.min_delta)
        if stale >= stopping.patience:
            gain = f" by more than {stopping.min_delta:g}" if stopping.min_delta else ""
            return f"no better {recipe.key_metric}{gain} in {stale} rounds (patience {stopping.patience})"
    return None


def _rounds_without_gain(records: Sequence[Record], key_metric: str, min_delta: float) -> int:
    """Passed rounds since the last one that beat by more than `min_delta` the last one that did so.

    A round that is better by less may be the best one, and the wait goes on: gains that are each too small
    end it together, once they add up to more than `min_delta`.
    """
    standing, waited = None, 0
    for record in records:
        if record.outcome != "passed":
            continue
        if _beats(record, standing, key_metric, min_delta):
            standing, waited = record, 0
        else:
            waited += 1
    return waited


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
