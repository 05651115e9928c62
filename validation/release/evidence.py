"""What the release checks are computed from, measured by others. Frozen values.

Shapes: n rows of the validation set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedmodels.protocol.messages import Metrics
from fedmodels.row_scores import RowScores

LENGTH_BUCKETS = 4


@dataclass(frozen=True)
class PartyScores:
    """A model pair on the same rows of one party's holdout, from one evaluation that the party signed."""

    candidate: Metrics | None
    champion: Metrics | None = None
    fault: str = ""
    """Why the evaluation that the run's record speaks of cannot be shown any more; empty when it can."""
    missing: str = ""
    """Why a score that is `None` is, as a clause: of the candidate, or else of the champion."""


@dataclass(frozen=True)
class Evidence:
    """All measurements of one release."""

    candidate: RowScores | None
    """On the validation set, [n]; `None` when a score was not finite."""
    champion: RowScores | None
    """On the same rows in the same order; `None` for the first release, or when not finite."""
    champion_release: int | None
    parties: Mapping[str, PartyScores]
    contracts: Mapping[str, str | None]
    """Party of the run to how its data broke their contract; empty when they did not, `None` when unknown."""
    model_bytes: int
    latency_ms: float
    """95th percentile for one text, at the coordinator."""
    slices: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Name to [n], whether the row belongs to it; slices may overlap."""
    holdout: Metrics | None = None
    """The candidate on the coordinator's holdout."""
    champion_cut: str = ""
    """What cuts rows and is not as it was in the champion's run, as clauses; empty: nothing known."""


def slices_of(labels: Sequence[str], lengths: Sequence[int]) -> dict[str, NDArray[np.bool_]]:
    """Slices of n rows: one for each label, and four by length, of about as many rows each.

    Equal lengths stay together, so that there are fewer buckets where many rows are equally long.

    Args:
        labels: [n], n at least 1.
        lengths: [n] characters or tokens.
    """
    named = np.asarray(labels, dtype=object)
    found = {f"label={label}": np.asarray(named == label) for label in sorted(set(labels))}
    sizes = np.asarray(lengths)
    edges = np.unique(np.quantile(sizes, np.linspace(0.0, 1.0, LENGTH_BUCKETS + 1)[1:], method="lower"))
    below = -1
    for edge in edges:
        mask = (sizes > below) & (sizes <= edge)
        found[f"length={int(sizes[mask].min())}-{int(edge)}"] = mask
        below = edge
    return found
