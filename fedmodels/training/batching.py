"""Batches of texts of similar length, so that little is computed on padding.

Method: shuffle; cut into pools of `POOL_BATCHES` batches; sort each pool by length; cut it into batches;
shuffle the batches. The bias to know: texts of similar length meet in one batch more often than under a
plain shuffle, and these are no Poisson samples. Every example is used exactly once an epoch.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedmodels.training.seeds import derive_seed

Indices = NDArray[np.int64]
POOL_BATCHES = 64


def num_batches(num_examples: int, batch_size: int) -> int:
    """Batches of an epoch, and so its optimiser steps."""
    return math.ceil(num_examples / batch_size)


def training_batches(
    lengths: NDArray[np.int64], batch_size: int, *, seed: Sequence[int | str], epoch: int
) -> list[Indices]:
    """The batches of one epoch as arrays of row numbers.

    Sizes differ by at most one within a pool: a last batch of two rows would move the weights as far
    as a full one.

    Args:
        lengths: [n] tokens of each text.
        batch_size: the largest number of rows in a batch.
        seed: whatever names this training, e.g. (recipe seed, party, round).
        epoch: from 0; each has an order of its own.
    """
    random = np.random.default_rng(derive_seed("batches", *seed, epoch))
    order = random.permutation(len(lengths)).astype(np.int64)
    pool_size = POOL_BATCHES * batch_size
    batches: list[Indices] = []
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        # A stable sort keeps the shuffled order among texts of equal length.
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += np.array_split(pool, num_batches(len(pool), batch_size))
    return [batches[position] for position in random.permutation(len(batches))]


def evaluation_batches(lengths: NDArray[np.int64], batch_size: int) -> list[Indices]:
    """All row numbers once, longest texts first, so that a batch too big for memory fails at once."""
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
