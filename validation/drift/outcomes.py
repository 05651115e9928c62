"""How the released model does on fresh labels: its mean loss, and its calibration.

The reference must be scored on rows that the model was not trained on, the party's holdout say: on its own
training rows a model is better and surer than it will ever be on fresh ones.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedmodels.row_scores import CALIBRATION_BINS, confidence_bins
from validation.drift.columns import Floats, Scored, Values, read_losses, read_scored
from validation.drift.distances import in_spreads
from validation.drift.findings import Measure
from validation.drift.policy import DriftPolicy
from validation.drift.significance import mean_rise

MOST_TESTS = 1
_BLOCK = 4096


@dataclass(frozen=True)
class LossProfile:
    """The losses of the reference: rows, mean, and sample variance."""

    rows: int
    mean: float
    variance: float
    kind: Literal["loss"] = "loss"


@dataclass(frozen=True, repr=False)
class CalibrationProfile:
    """Sums over the reference's rows in each of the 15 bins of confidence of `fedmodels.row_scores`.

    Of the gap `correct - confidence`. The bins are those of the release gate's calibration.
    """

    rows: int
    gaps: Floats
    """[15] sum of the gaps."""
    squares: Floats
    """[15] sum of their squares."""
    kind: Literal["calibration"] = "calibration"


def profile_losses(name: str, values: Values, policy: DriftPolicy) -> LossProfile:
    """Keep the moments of per-row losses, [n].

    Raises:
        DataRefused: `drift-wrong-type`, `drift-not-finite` or `drift-too-few-values`.
    """
    losses = read_losses(name, values, policy.min_rows)
    return LossProfile(len(losses), float(losses.mean()), float(losses.var(ddof=1)))


def measure_losses(
    name: str, profile: LossProfile, values: Values, policy: DriftPolicy
) -> tuple[int, list[Measure]]:
    """Hold fresh per-row losses, [m], against their profile; a fall is no drift.

    Returns:
        Fresh rows, and the measure `loss`, by Welch's one-sided test.

    Raises:
        DataRefused: as `profile_losses`.
    """
    losses = read_losses(name, values, policy.min_rows)
    variance = float(losses.var(ddof=1))
    change = float(losses.mean()) - profile.mean
    worth = profile.rows / policy.design_effect, len(losses) / policy.design_effect
    p = mean_rise(change, profile.variance, variance, *worth)
    spread = math.sqrt(profile.variance) or math.sqrt(variance) or abs(change)
    rise = in_spreads(max(0.0, change), spread)
    return len(losses), [Measure("loss", "welch_loss", change, p, rise, policy.loss)]


def profile_calibration(name: str, values: Values, policy: DriftPolicy) -> CalibrationProfile:
    """Keep the sums of `Scored` rows.

    Raises:
        DataRefused: `drift-wrong-type` or `drift-too-few-values`.
    """
    return _sums(read_scored(name, values, policy.min_rows))


def measure_calibration(
    name: str,
    profile: CalibrationProfile,
    values: Values,
    policy: DriftPolicy,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[int, list[Measure]]:
    """Hold the calibration of fresh `Scored` rows against its profile; a fall of the error is no drift.

    Returns:
        Fresh rows, and the measure `calibration`: the rise of the expected calibration error (ECE), beyond
        the rise that the numbers of rows alone would give.

    Raises:
        DataRefused: as `profile_calibration`.
    """
    fresh = _sums(read_scored(name, values, policy.min_rows))
    rise = calibration_error(fresh) - calibration_error(profile)
    p, usual = _bootstrap(profile, fresh, rise, policy.design_effect, resamples, rng)
    effect = max(0.0, rise - usual)
    return fresh.rows, [Measure("calibration", "bootstrap", rise, p, effect, policy.calibration)]


def calibration_error(profile: CalibrationProfile) -> float:
    """ECE: mean over the rows of their bin's |accuracy - mean confidence|, in [0, 1]."""
    return float(np.abs(profile.gaps).sum() / profile.rows)


def _sums(scored: Scored) -> CalibrationProfile:
    bins = confidence_bins(scored.confidence)
    gaps = scored.correct - scored.confidence
    return CalibrationProfile(
        rows=len(gaps),
        gaps=np.asarray(np.bincount(bins, gaps, CALIBRATION_BINS), np.float64),
        squares=np.asarray(np.bincount(bins, gaps**2, CALIBRATION_BINS), np.float64),
    )


def _bootstrap(
    reference: CalibrationProfile,
    fresh: CalibrationProfile,
    rise: float,
    design_effect: float,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The rise of ECE when both sides are draws of the pooled rows, each of its own size.

    The sizes matter: on few rows the ECE of a calibrated model is well above 0. The sums of a bin are drawn
    as normal variables with their pooled mean and variance, independent of each other: what resampling a
    Poisson number of rows tends to, at a cost that does not grow with the rows.

    Returns:
        The probability of a rise of `rise` or more, and the mean rise.
    """
    rows = reference.rows + fresh.rows
    mean = (reference.gaps + fresh.gaps) / rows
    deviation = np.sqrt((reference.squares + fresh.squares) / rows * design_effect)
    reached, total = 0, 0.0
    for start in range(0, resamples, _BLOCK):
        block = min(_BLOCK, resamples - start)
        errors = [
            np.abs(mean + deviation / np.sqrt(side.rows) * rng.standard_normal((block, len(mean)))).sum(
                axis=1
            )
            for side in (reference, fresh)
        ]
        rises = errors[1] - errors[0]
        reached += int((rises >= rise).sum())
        total += float(rises.sum())
    return (1 + reached) / (1 + resamples), total / resamples
