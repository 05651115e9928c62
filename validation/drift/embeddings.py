"""Embeddings against their reference: the maximum mean discrepancy with a permutation test.

A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf and A. Smola, "A Kernel Two-Sample Test", JMLR 2012. The
kernel is exp(-|x - y|² / (2 s²)) with s² the median squared distance of the pooled rows (their median
heuristic; pooled, so that it does not know the sides and the permutation test stays exact). Ours differs
in that permutations stop early once the p-value cannot become small: J. Besag and P. Clifford, "Sequential
Monte Carlo p-values", Biometrika 1991, whose p-values are exact too. Permuting takes rows for independent,
and no design effect mends it: where rows come in groups, hand in one embedding a group.

Shapes: n rows of the reference, m fresh rows, N = n + m, width d.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedmodels.errors import DataRefused
from validation.drift.columns import Values, read_embeddings
from validation.drift.findings import Measure
from validation.drift.policy import DriftPolicy

MOST_TESTS = 1
Matrix = NDArray[np.float32]
_ENOUGH_EXCEEDANCES = 20
_BLOCK = 64


@dataclass(frozen=True, repr=False)
class EmbeddingProfile:
    """What a reference keeps of the embeddings of its rows, at the party."""

    sample: Matrix
    """[n, d] embeddings of drawn rows."""
    kind: Literal["embedding"] = "embedding"


def profile_embeddings(
    name: str, values: Values, policy: DriftPolicy, rng: np.random.Generator
) -> EmbeddingProfile:
    """Keep a sample of embeddings, [n, d].

    Raises:
        DataRefused: `drift-wrong-type`, `drift-not-finite` or `drift-too-few-values`.
    """
    rows = read_embeddings(name, values, policy.min_rows)
    return EmbeddingProfile(_drawn(rows, policy.embedding_rows, rng))


def measure_embeddings(
    name: str,
    profile: EmbeddingProfile,
    values: Values,
    policy: DriftPolicy,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[int, list[Measure]]:
    """Hold fresh embeddings, [m, d], against their profile.

    The effect is MMD² over the reference's own spread in the kernel's space, 1 - mean k(x, x'): the squared
    distance of two means as a share of the variance, whatever the width and the scale of the embeddings.

    Returns:
        Fresh rows compared, and the measure `embedding`.

    Raises:
        DataRefused: as `profile_embeddings`, or another width than the reference's (`drift-wrong-type`).
    """
    rows = _drawn(read_embeddings(name, values, policy.min_rows), policy.embedding_rows, rng)
    width, expected = rows.shape[1], profile.sample.shape[1]
    if width != expected:
        raise DataRefused(
            f"Feature {name} has embeddings of width {width}, and its reference {expected}",
            fix="embed both with one model",
            code="drift-wrong-type",
        )
    kernel = rbf_kernel(np.concatenate([profile.sample, rows]))
    statistic, p = permutation_test(kernel, len(profile.sample), resamples, rng)
    own = kernel[: len(profile.sample), : len(profile.sample)]
    spread = 1.0 - float(own.sum(dtype=np.float64)) / (len(own) * (len(own) - 1))
    effect = max(0.0, statistic) / spread if spread > 0 else max(0.0, statistic)
    return len(rows), [Measure("embedding", "mmd", statistic, p, effect, policy.embedding)]


def rbf_kernel(rows: Matrix) -> Matrix:
    """[N, N] kernel of N rows by the median heuristic, with zeros on the diagonal."""
    centred = rows - rows.mean(axis=0)
    squares = np.einsum("ij,ij->i", centred, centred)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2.0 * (centred @ centred.T), 0.0)
    off_diagonal = distances[np.triu_indices(len(rows), 1)]
    scale = float(np.median(off_diagonal)) or float(off_diagonal.mean()) or 1.0
    kernel = np.exp(distances / np.float32(-2.0 * scale))
    np.fill_diagonal(kernel, 0.0)
    return np.asarray(kernel, dtype=np.float32)


def mmd_squared(kernel: Matrix, sides: Matrix) -> NDArray[np.float64]:
    """The unbiased estimate of MMD² for each assignment of rows to sides.

    Args:
        kernel: [N, N] with zeros on the diagonal.
        sides: [N, b], 1 where a row is of the reference, 0 where it is fresh; all columns with as many ones.

    Returns:
        [b]; below 0 about as often as above when nothing differs.
    """
    n = int(sides[:, 0].sum())
    m = len(kernel) - n
    to_reference = np.einsum("ij,ij->j", sides, kernel @ sides, dtype=np.float64)
    touching = kernel.sum(axis=1, dtype=np.float64) @ sides
    across = touching - to_reference
    to_fresh = kernel.sum(dtype=np.float64) - to_reference - 2 * across
    return np.asarray(to_reference / (n * (n - 1)) + to_fresh / (m * (m - 1)) - 2 * across / (n * m))


def permutation_test(
    kernel: Matrix, reference_rows: int, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """MMD² of the first `reference_rows` rows against the rest, and its p-value by permutation.

    Stops when 20 permutations have reached the observed value, with p = 20 / permutations; else
    p = (1 + those that did) / (1 + resamples).
    """
    rows = len(kernel)
    off_diagonal = np.float32(kernel.sum(dtype=np.float64) / (rows * (rows - 1)))
    level = kernel - off_diagonal  # a constant cancels in MMD²; without it float32 sums keep their digits
    np.fill_diagonal(level, 0.0)
    first = np.zeros((rows, 1), dtype=np.float32)
    first[:reference_rows] = 1.0
    observed = float(mmd_squared(level, first)[0])
    rounding = 1e-6 * float(np.abs(level).max())
    exceeded = done = 0
    while done < resamples:
        block = min(_BLOCK, resamples - done)
        reached = (
            mmd_squared(level, rng.permuted(np.repeat(first, block, axis=1), axis=0)) >= observed - rounding
        )
        if exceeded + int(reached.sum()) >= _ENOUGH_EXCEEDANCES:
            last = int(np.flatnonzero(reached)[_ENOUGH_EXCEEDANCES - exceeded - 1])
            return observed, _ENOUGH_EXCEEDANCES / (done + last + 1)
        exceeded += int(reached.sum())
        done += block
    return observed, (1 + exceeded) / (1 + resamples)


def _drawn(rows: Matrix, most: int, rng: np.random.Generator) -> Matrix:
    if len(rows) <= most:
        return rows
    return rows[np.sort(rng.choice(len(rows), most, replace=False))]
