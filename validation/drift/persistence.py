"""Whether drift has lasted: what turns the verdicts of scheduled checks into a reason to train again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmodels.errors import InputError
from fedmodels.words import counted

Rows = NDArray[np.integer[Any]]
LEAST_COMPARED = 20
"""Rows that a check must be able to tell of where it does not remember all of its own."""


@dataclass(frozen=True)
class PersistencePolicy:
    """How often a feature must have drifted.

    Raises:
        InputError: `drift-policy`: a value is outside its range.
    """

    needed: int = 3
    """Checks of the last `of` in which the same feature must have drifted; the last one is among them."""
    of: int = 4
    most_overlap: float = 0.5
    """Share of a check's rows that may have been seen by the time of the one that counts before it."""

    def __post_init__(self) -> None:
        if not 1 <= self.needed <= self.of:
            raise InputError(
                f"Drift has to last for {self.needed} of {self.of} checks, which is not between 1 and all",
                fix="correct needed or of",
                code="drift-policy",
            )
        if not 0 <= self.most_overlap < 1:
            raise InputError(
                f"The drift policy's most_overlap is {self.most_overlap!r}, not in [0, 1)",
                fix="correct it",
                code="drift-policy",
            )


@dataclass(frozen=True, eq=False)
class PastCheck:
    """One check, as it is remembered.

    Raises:
        InputError: `drift-check`: it covers no row, or its rows do not ascend.
    """

    reference: str
    """Hash of the reference that it was held against."""
    rows: Rows
    """[n] what tells its rows apart, hashes say, ascending and each once. Of very many rows the n smallest
    hashes will do: those of a check below the largest one of another are a fair draw of its rows
    (A.Z. Broder, "On the resemblance and containment of documents", SEQUENCES 1997)."""
    drifted: tuple[str, ...] = ()
    """Features that drifted."""
    whole: bool = True
    """Whether `rows` are all of its rows."""

    def __post_init__(self) -> None:
        if not len(self.rows) or (self.rows[1:] <= self.rows[:-1]).any():
            raise InputError(
                f"A drift check covers {counted(len(self.rows), 'row')}, which are none or not in order",
                fix="give it what tells its rows apart, ascending",
                code="drift-check",
            )


def persistent_drift(checks: Sequence[PastCheck], policy: PersistencePolicy) -> tuple[str, ...]:
    """Features whose drift has lasted, as of the last check; any of them is a reason to train again.

    A check every hour over the rows of a day sees most rows 24 times, and one unlucky day is one piece of
    evidence, not 24. So checks are counted backwards from the last one, and one counts only if the one that
    was counted after it had seen no more than `most_overlap` of its rows by then, in whichever check. Rows
    that come and go, as those of a file that is now whole and now in part, are new once. Checks against
    another reference than the last one's do not count: a new model starts afresh.

    Args:
        checks: in the order in which they were made, the newest last; refused checks are left out.
        policy: how many must agree.

    Returns:
        The features in alphabetical order; none while fewer than `needed` checks count.
    """
    if not checks or not checks[-1].drifted:
        return ()
    counting = _counted([check for check in checks if check.reference == checks[-1].reference], policy)
    return tuple(
        sorted(
            feature
            for feature in set(counting[0].drifted)
            if sum(feature in check.drifted for check in counting) >= policy.needed
        )
    )


def _counted(checks: Sequence[PastCheck], policy: PersistencePolicy) -> list[PastCheck]:
    """The newest `of` checks that each bring rows enough of their own, the newest first."""
    places = [len(checks) - 1]
    seen_by = _seen_by(checks)
    for place in range(len(checks) - 2, -1, -1):
        if len(places) == policy.of:
            break
        seen = seen_by(place)
        if seen is not None and seen <= policy.most_overlap:
            places.append(place)
            seen_by = _seen_by(checks[: place + 1])
    return [checks[place] for place in places]


def _seen_by(checks: Sequence[PastCheck]) -> Callable[[int], float | None]:
    """What share of the last check's rows had been seen by the time of an earlier one, given its place.

    Each earlier check tells of the rows below its own cut, its largest remembered hash, whether it held
    them; of those above it tells nothing. So rows are asked of one check after the other, in the order of
    their cuts, and leave the count where the next check cannot tell of them: the product-limit estimate (E.L.
    Kaplan and P. Meier, "Nonparametric estimation from incomplete observations", JASA 1958). It is fair
    since hashes depend on nothing else, it is exact where all rows are remembered, and one very large check,
    which tells of few rows, takes none of the others' word away. `None` where too few rows can be compared
    with the earlier check itself.
    """
    *earlier, last = checks
    rows = last.rows
    found = np.array([np.isin(rows, each.rows, assume_unique=True) for each in earlier])  # [checks, n]
    told = np.array(
        [len(rows) if each.whole else np.searchsorted(rows, each.rows[-1], side="right") for each in earlier]
    )
    by_cut = np.argsort(-told, kind="stable") if earlier else told

    def seen_by(place: int) -> float | None:
        if not earlier[place].whole and told[place] < LEAST_COMPARED:
            return None
        asked = by_cut[by_cut <= place]
        held = found[asked]
        seen = held.any(axis=0)
        asked_of = (told[asked, None] > np.arange(len(rows))).sum(axis=0)
        left_after = np.where(seen, held.argmax(axis=0), asked_of - 1)
        at_risk = np.bincount(left_after + 1, minlength=len(asked) + 1)[::-1].cumsum()[::-1][1:]
        newly_seen = np.bincount(left_after[seen], minlength=len(asked))
        return float(1 - np.prod(1 - newly_seen / np.maximum(at_risk, 1)))

    return seen_by
