"""The learning rate over a whole run: one warm-up and one decay across all rounds, not per round."""

import math
from typing import Literal

Decay = Literal["constant", "linear", "cosine"]


def rate_factor(step: int, total: int, *, warmup_ratio: float, decay: Decay) -> float:
    """What the learning rate is multiplied by in optimiser step `step` of `total`, counted from 0.

    Warm-up rises linearly over the first `warmup_ratio` of all steps and reaches 1 with its last one;
    then the factor falls from 1 towards 0, which the step after the last would get. A step beyond
    `total` (a party whose data grew) gets the factor of the last one.

    Returns:
        A number in (0, 1].
    """
    step = min(step, total - 1)
    warmup = math.ceil(warmup_ratio * total)
    if step < warmup:
        return (step + 1) / warmup
    if decay == "constant":
        return 1.0
    remaining = (total - step) / max(1, total - warmup)
    if decay == "linear":
        return remaining
    return 0.5 * (1.0 - math.cos(math.pi * remaining))
