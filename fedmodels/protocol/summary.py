"""A run as one JSON document, from nothing but its messages."""

from collections.abc import Sequence
from typing import Any

from fedmodels.protocol.messages import Closed, Head, Metrics, Plan, Record


def run_summary(plan: Plan, head: Head, records: Sequence[Record], closed: Closed | None) -> dict[str, Any]:
    """The document that `fedcart train --json` and `fedcart runs show --json` print.

    `final` and `model_sha256` are those of the kept model; `status` is `open` while nothing closed it.
    What only who watched the run could measure (`seconds.startup`, `peak_pss_mb`) is `None`.
    """
    best = next((record for record in records if record.round == head.best_round), None)
    return {
        "run_id": plan.run,
        "recipe": plan.recipe.name,
        "parties": sorted(plan.parties),
        "labels": list(plan.labels),
        "model_sha256": head.best_model_sha256,
        "best_round": head.best_round,
        "status": closed.status if closed else "open",
        "reason": closed.reason if closed else "",
        "final": _scores(best.holdout if best else None),
        "seconds": {"startup": None, "total": closed.seconds if closed else None},
        "peak_pss_mb": None,
        "rounds": [_round(record) for record in records],
    }


def _round(record: Record) -> dict[str, Any]:
    tuned = record.fine_tuning
    return {
        "round": record.round,
        "outcome": record.outcome,
        "accepted": list(record.accepted),
        "refused": [refusal.model_dump(exclude={"reason"}) for refusal in record.refused],
        "metrics": _scores(record.metrics),
        "holdout": _scores(record.holdout),
        "parties": {
            party: {
                "num_examples": row.num_examples,
                "train_loss": row.train_loss,
                "metrics": _scores(row.metrics),
                "seconds": row.seconds,
                "bytes_up": row.bytes_up,
                "bytes_down": row.bytes_down,
                "cleaned": row.cleaned,
                "warnings": list(row.warnings),
            }
            for party, row in sorted(record.parties.items())
        },
        "fine_tuning": {
            "kept": tuned.kept,
            "before": _scores(tuned.before),
            "after": _scores(tuned.after),
        }
        if tuned
        else None,
        "gate": {"passed": record.gate.passed, "reasons": list(record.gate.reasons)},
        "dropped": record.dropped,
        "seconds": record.seconds.model_dump(),
        "bytes": record.bytes.model_dump(),
    }


def _scores(metrics: Metrics | None) -> dict[str, float] | None:
    if metrics is None:
        return None
    return {
        "accuracy": round(metrics.accuracy, 6),
        "macro_f1": round(metrics.macro_f1, 6),
        "loss": round(metrics.loss, 6),
        "num_examples": metrics.num_examples,
    }
