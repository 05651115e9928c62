"""Which parties take part in a round: a seeded draw that any machine can repeat."""

import hashlib
import math
from collections.abc import Iterable


def draw_cohort(
    parties: Iterable[str], fraction_train: float, min_available: int, seed: int, round_number: int
) -> tuple[str, ...]:
    """Draw `fraction_train` of the parties, at least `min_available`, at most all; sorted.

    Each party is ranked by a SHA-256 of seed, round and id, and the lowest ranks take part: uniform over
    rounds, and the same on every version of Python. Another party more or less changes no other's rank.
    """
    everyone = sorted(set(parties))
    wanted = max(min_available, math.floor(fraction_train * len(everyone) + 1e-9))
    ranked = sorted(everyone, key=lambda party: _rank(seed, round_number, party))
    return tuple(sorted(ranked[:wanted]))


def _rank(seed: int, round_number: int, party: str) -> bytes:
    return hashlib.sha256(f"cohort/{seed}/{round_number}/{party}".encode()).digest()
