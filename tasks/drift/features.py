"""The columns of a drift check: what a recipe watches, out of rows and what the champion makes of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fedmodels.data.fresh import Window
from fedmodels.data.prepared import LabelledTexts
from fedmodels.drift_section import DriftSection
from validation.drift.columns import Scored, Values
from validation.drift.findings import Kind
from validation.drift.policy import DriftPolicy

if TYPE_CHECKING:
    from fedmodels.workbench import Workbench

Columns = dict[str, Values]
Item = TypeVar("Item")
BY_MODEL = frozenset({"embedding", "loss", "calibration"})
"""Features that need the champion in memory."""
MOST_SCORED = 2000
"""Labelled rows that are scored at most; they are drawn where there are more."""


def drift_policy(section: DriftSection) -> DriftPolicy:
    """Level and bounds of the comparison."""
    return DriftPolicy(
        alpha=section.alpha,
        min_rows=section.min_rows,
        design_effect=section.design_effect,
        **section.bounds.model_dump(),
    )


def feature_kinds(section: DriftSection, columns: Columns) -> dict[str, Kind]:
    """Kind by name of each watched feature that has a column, in the order in which a reference is kept."""
    kinds: dict[str, Kind] = {name: name for name in section.features}
    kinds.update(section.columns)
    return {name: kind for name, kind in sorted(kinds.items()) if name in columns}


def measure_columns(
    section: DriftSection,
    window: Window,
    scored: LabelledTexts,
    model: "Callable[[], Workbench]",
    rng: np.random.Generator,
) -> Columns:
    """The columns of a reference, or of fresh rows.

    Labels, and what needs them, are left out where fewer than `min_rows` rows have one.

    Args:
        section: of the recipe.
        window: rows whose texts, labels, embeddings and further columns are compared; at least one.
        scored: rows that trained nothing, for loss and calibration: a reference's holdout, or the fresh rows.
        model: loads the champion; called only for features that need it.
        rng: draws rows where there are more than are looked at.

    Raises:
        TrainingFailed: the champion's scores are not finite.
    """
    policy, rows = drift_policy(section), window.rows
    columns: Columns = {}
    if "text" in section.features:
        columns["text"] = rows.texts
    labels = [label for label in rows.labels if label]
    if "label" in section.features and len(labels) >= section.min_rows:
        columns["label"] = labels
    columns.update(window.columns)
    if not BY_MODEL.intersection(section.features):
        return columns
    bench = model()
    if "embedding" in section.features:
        columns["embedding"] = bench.embed(_drawn(rows.texts, policy.embedding_rows, rng))
    known = scored.take(place for place, label in enumerate(scored.labels) if label in bench.index)
    if {"loss", "calibration"}.intersection(section.features) and len(known) >= section.min_rows:
        places = _drawn(range(len(known)), MOST_SCORED, rng)
        _, found = bench.evaluate_rows(known.take(places))
        scores: Columns = {"loss": found.losses, "calibration": Scored(found.confidences, found.correct)}
        columns.update({name: scores[name] for name in scores if name in section.features})
    return columns


def _drawn(items: Sequence[Item], most: int, rng: np.random.Generator) -> Sequence[Item]:
    """All items, or `most` of them in their order."""
    if len(items) <= most:
        return items
    return [items[place] for place in sorted(rng.choice(len(items), most, replace=False).tolist())]
