"""Scoring candidate and champion on the coordinator's own rows, one after the other."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fedmodels.errors import InputError, IntegrityError, RunConflict, TrainingFailed
from fedmodels.protocol.messages import Metrics
from fedmodels.row_scores import RowScores
from infra.layout import model_key
from infra.object_store import ObjectStore
from tasks.models import fetch_model
from tasks.release.desk import ReleaseDesk
from tasks.release.kept import KeptModel
from tasks.workbenches import open_workbench

Scores = TypeVar("Scores")


@dataclass(frozen=True)
class ModelScores:
    """One model on the coordinator's sets; `None` where a score was not finite."""

    validation: Metrics | None
    rows: RowScores | None
    """[n] on validation."""
    holdout: Metrics | None
    latency_ms: float


def score_model(desk: ReleaseDesk, kept: KeptModel, *, compared: bool = False) -> ModelScores:
    """Score a model on validation and holdout, and time it; a `compared` champion on validation alone.

    What was scored before by the same means, in the model's own round say, is taken as it was kept.

    Raises:
        InputError: the coordinator has no such set, or it holds a label that the model does not know.
        IntegrityError: a blob is missing or damaged.
    """
    recipe = kept.plan.recipe.name
    validation = desk.own_set(recipe, "validation")
    bench = open_workbench(desk.store, kept.plan, desk.cache, desk.threads, keeps_scores=True)
    unknown = sorted(set(validation.labels) - set(kept.plan.labels))
    if unknown:
        raise InputError(
            f"The coordinator's validation set has the label {unknown[0]!r}, "
            f"which the model of run {kept.run} does not know",
            fix="prepare the data with the labels of the recipe",
            code="labels-unknown",
        )
    if compared and (known := bench.remember_rows(validation, kept.sha256)):
        return ModelScores(*known, None, 0.0)
    desk.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=desk.folder, prefix="release-") as folder:
        path, _ = fetch_model(desk.store, kept.sha256, Path(folder))
        bench.load(path, kept.sha256)
    metrics, rows = _finite(lambda: bench.evaluate_rows(validation)) or (None, None)
    if compared:
        return ModelScores(metrics, rows, None, 0.0)
    scored = _finite(lambda: bench.evaluate(desk.own_set(recipe, "holdout"))) if metrics else None
    return ModelScores(metrics, rows, scored[0] if scored else None, bench.measure_latency(validation))


def _finite(score: Callable[[], Scores]) -> Scores | None:
    """What `score` returns, or `None` when a logit is not finite: it is the gate that then has to speak."""
    try:
        return score()
    except TrainingFailed as error:
        if error.code != "evaluation-not-finite":
            raise
        return None


def check_comparable(kept: KeptModel, champion: KeptModel | None) -> None:
    """Two models are compared row by row only if they choose between the same labels.

    Raises:
        RunConflict: `labels-differ`.
    """
    if champion is not None and champion.plan.labels != kept.plan.labels:
        raise RunConflict(
            f"The model of run {kept.run} has {len(kept.plan.labels)} labels, and the champion's run "
            f"{champion.run} has {len(champion.plan.labels)}, or others",
            fix="give the recipe another name, which begins a line of releases of its own",
            code="labels-differ",
        )


def model_bytes(store: ObjectStore, sha256: str) -> int:
    """Size of a model in the bucket.

    Raises:
        IntegrityError: it is not there.
    """
    size = store.size(model_key(sha256))
    if size is None:
        raise IntegrityError(
            f"The model {sha256[:12]} is not in the bucket",
            fix="restore it from a backup",
            code="model-missing",
        )
    return size
