"""p-values of the tests that drift detection uses, in closed form, and their correction.

From `scipy.special` alone: `scipy.stats` takes about a second to import and allocates what is not needed
here. The tests of this module hold each function against `scipy.stats`.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

Counts = NDArray[np.int64]
LEAST_EXPECTED = 5.0
"""Rows that each cell of a table must be expected to hold for chi-squared to be trusted (Cochran, 1954)."""


def chi_squared(reference: Counts, fresh: Counts, design_effect: float = 1.0) -> tuple[float, float]:
    """Pearson's test that two rows of counts, [k] each, come from one distribution.

    Args:
        reference: rows in each cell.
        fresh: rows in the same cells.
        design_effect: by which the statistic is divided where rows are not independent (J.N.K. Rao and
            A.J. Scott, JASA 1981).

    Returns:
        The statistic and its p-value at k - 1 degrees of freedom; (0, 1) for a single cell. Every cell
        must hold a row of either side: see `pool_rare`.
    """
    if len(reference) < 2:
        return 0.0, 1.0
    table = np.stack([reference, fresh]).astype(np.float64)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum()) / design_effect
    return statistic, float(special.chdtrc(len(reference) - 1, statistic))


def pool_rare(reference: Counts, fresh: Counts) -> tuple[Counts, Counts]:
    """Pool the cells that are too rare for chi-squared into one, by the totals of both sides alone.

    Which cells are pooled does not depend on which side a row is from, so the test keeps its level even
    for a column of thousands of rare values. The pool takes in the rarest of the other cells until it is
    large enough itself.

    Args:
        reference: [k] rows of each cell.
        fresh: [k] rows of the same cells.

    Returns:
        Both sides over the same cells: the kept ones in their order, then the pool if there is one.
    """
    totals = reference + fresh
    smaller = min(int(reference.sum()), int(fresh.sum())) / max(1, int(totals.sum()))
    rare = totals * smaller < LEAST_EXPECTED
    if 0 < totals[rare].sum() * smaller < LEAST_EXPECTED and not rare.all():
        rare[np.where(rare, totals.max() + 1, totals).argmin()] = True
    pooled = [np.append(side[~rare], side[rare].sum()) for side in (reference, fresh)]
    if totals[rare].sum() == 0:
        return pooled[0][:-1], pooled[1][:-1]
    return pooled[0], pooled[1]


def kolmogorov_smirnov(distance: float, rows: float, other_rows: float) -> float:
    """p-value of a two-sample KS distance, by its limit with Stephens' correction for small samples.

    M.A. Stephens, "Use of the Kolmogorov-Smirnov, Cramér-von Mises and Related Statistics Without
    Extensive Tables", JRSS B 1970. Ties only make it larger than it need be.
    """
    root = math.sqrt(rows * other_rows / (rows + other_rows))
    return float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def share_rise(hits: int, rows: int, fresh_hits: int, fresh_rows: int) -> float:
    """Fisher's exact test, one-sided: the probability of `fresh_hits` or more at one common share.

    Args:
        hits: of `rows` in the reference.
        rows: rows of the reference.
        fresh_hits: of `fresh_rows`.
        fresh_rows: rows of the fresh data.
    """
    total = hits + fresh_hits
    largest = min(total, fresh_rows)
    counts = np.arange(fresh_hits, largest + 1, dtype=np.float64)
    log_p = (
        _log_choose(fresh_rows, counts)
        + _log_choose(rows, total - counts)
        - _log_choose(rows + fresh_rows, np.float64(total))
    )
    return min(1.0, float(np.exp(log_p[log_p > -np.inf]).sum()))


def share_change(hits: int, rows: int, fresh_hits: int, fresh_rows: int) -> float:
    """Fisher's exact test, two-sided: twice the smaller of the one-sided p-values. Arguments as above."""
    rise = share_rise(hits, rows, fresh_hits, fresh_rows)
    fall = share_rise(rows - hits, rows, fresh_rows - fresh_hits, fresh_rows)
    return min(1.0, 2.0 * min(rise, fall))


def mean_rise(change: float, variance: float, fresh_variance: float, rows: float, fresh_rows: float) -> float:
    """Welch's test, one-sided: the probability of a rise of `change` or more between equal means.

    Args:
        change: the fresh mean less the reference's.
        variance: sample variance of the reference.
        fresh_variance: that of the fresh data.
        rows: rows of the reference; fewer where its mean is known less well than so many would have it.
        fresh_rows: rows of the fresh data; fewer where they are not independent.
    """
    parts = variance / rows, fresh_variance / fresh_rows
    squared = sum(parts)
    if squared == 0:
        return 0.0 if change > 0 else 1.0
    freedom = squared**2 / (parts[0] ** 2 / max(1.0, rows - 1) + parts[1] ** 2 / max(1.0, fresh_rows - 1))
    return float(special.stdtr(freedom, -change / math.sqrt(squared)))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values after Holm's step-down correction: S. Holm, Scandinavian Journal of Statistics 1979.

    It bounds the probability of a single false finding, however the tests depend on each other. The false
    discovery rate of Benjamini and Hochberg does not: here one false finding starts one needless training.
    """
    adjusted = [1.0] * len(p_values)
    running = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = running
    return tuple(adjusted)


def resamples_for(tests: int, alpha: float) -> int:
    """Resamples with which a test's least p-value is half of what Holm's strictest step asks for."""
    return math.ceil(2 * tests / alpha)


def _log_choose(of: int, chosen: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    """Logarithm of the binomial coefficient; -inf where more are chosen than there are."""
    left = of - chosen
    possible = np.where(left >= 0, left, 0.0)
    log = special.gammaln(of + 1.0) - special.gammaln(chosen + 1.0) - special.gammaln(possible + 1.0)
    return np.asarray(np.where(left >= 0, log, -np.inf), dtype=np.float64)
