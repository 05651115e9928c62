"""Two models on the same rows: how sure one may be that the second is no worse than the first.

Shapes: n rows, D draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
"""Bootstrap samples for an accuracy: each is one draw of three counts, whatever the number of rows."""
LOSS_DRAWS = 2_000
"""Bootstrap samples for a mean loss: each draws n rows."""
_MOST_INDICES = 4_000_000
"""Row indices that are held at once."""


@dataclass(frozen=True)
class Interval:
    """A difference (second model minus first) with the two-sided confidence interval around it."""

    difference: float
    lower: float
    upper: float
    confidence: float

    def in_words(self, signed: str = "+.4f") -> str:
        """`+0.0050, 95 % interval -0.0100 to +0.0200`."""
        # what rounds to nothing is no fall: z leaves out the sign of -0.0000
        difference, lower, upper = (
            format(value, signed.replace(".", "z.", 1)) for value in (self.difference, self.lower, self.upper)
        )
        return f"{difference}, {100 * self.confidence:g} % interval {lower} to {upper}"


@dataclass(frozen=True)
class Comparison:
    """Two models' correctness on the same n rows. Only rows on which they disagree tell them apart."""

    rows: int
    lost: int
    """Rows that the first model gets right and the second wrong."""
    won: int
    """Rows that the second model gets right and the first wrong."""
    p_value: float
    """Of McNemar's exact test, two-sided."""
    accuracy: Interval


def compare(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    generator: np.random.Generator,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two models' correctness ([n] each, n at least 1) on the same rows."""
    lost, won = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    interval = accuracy_interval(lost, won, len(first), generator, confidence)
    return Comparison(len(first), lost, won, mcnemar_p_value(lost, won), interval)


def mcnemar_p_value(lost: int, won: int) -> float:
    """Two-sided p-value of McNemar's exact test: twice the smaller tail of Binomial(lost + won, 1/2).

    Q. McNemar: Note on the sampling error of the difference between correlated proportions, Psychometrika
    1947; the exact form, without the approximation by chi-squared, which needs many discordant rows.
    """
    total = lost + won
    tail, term = 0, 1
    for hits in range(min(lost, won) + 1):
        tail += term
        term = term * (total - hits) // (hits + 1)
    halves: int = 2**total
    return min(1.0, 2 * tail / halves)


def accuracy_interval(
    lost: int,
    won: int,
    rows: int,
    generator: np.random.Generator,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> Interval:
    """Percentile interval of a paired bootstrap for the difference of two accuracies on the same rows.

    To draw n rows with replacement is to draw how many of them were lost, won and neither, so that D draws
    cost D multinomial counts. B. Efron, R. J. Tibshirani: An introduction to the bootstrap, 1993, chapter 13.

    A bootstrap never draws what it has not seen. Where no row was lost (or won), that end moves outward by
    the largest share of such rows that n rows without one leave possible, `1 - a ** (1 / n)` with `a` the
    share of one tail: the rule of three, exactly (J. A. Hanley, A. Lippman-Hand, JAMA 1983).
    """
    tail = (1.0 - confidence) / 2.0
    shares = np.array([lost, won, rows - lost - won]) / rows
    counts = generator.multinomial(rows, shares, size=draws)
    lower, upper = np.quantile((counts[:, 1] - counts[:, 0]) / rows, [tail, 1.0 - tail])
    unseen = 1.0 - tail ** (1.0 / rows)
    return Interval(
        difference=(won - lost) / rows,
        lower=float(lower) - (0.0 if lost else unseen),
        upper=float(upper) + (0.0 if won else unseen),
        confidence=confidence,
    )


def mean_interval(
    differences: NDArray[np.float64],
    generator: np.random.Generator,
    confidence: float = 0.95,
    draws: int = LOSS_DRAWS,
) -> Interval:
    """Percentile interval of a paired bootstrap for the mean of [n] row-wise differences.

    Holds at most `_MOST_INDICES` indices (or n) at once, so that memory does not grow with D.
    """
    rows, tail = len(differences), (1.0 - confidence) / 2.0
    step = max(1, _MOST_INDICES // rows)
    means = [
        differences[generator.integers(rows, size=(min(step, draws - begin), rows))].mean(axis=1)
        for begin in range(0, draws, step)
    ]
    lower, upper = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return Interval(float(differences.mean()), float(lower), float(upper), confidence)
