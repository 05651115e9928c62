"""Whether drift has lasted: what turns the verdicts of scheduled checks into a reason to train again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmodels.errors import InputError
from fedmodels.words import counted

Rows = NDArray[np.integer[Any]]
LEAST_COMPARED = 20
"""Rows in which the overlap of checks is measured where not all of them are remembered."""


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
    hashes will do: those of two checks below the smaller of their largest ones are a fair draw of their rows
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
    first_seen = _first_seen(checks)
    places = [len(checks) - 1]
    for place in range(len(checks) - 2, -1, -1):
        if len(places) == policy.of:
            break
        seen_by_then = first_seen[places[-1]] <= place
        if seen_by_then.size and seen_by_then.mean() <= policy.most_overlap:
            places.append(place)
    return [checks[place] for place in places]


def _first_seen(checks: Sequence[PastCheck]) -> list[NDArray[np.intp]]:
    """For the rows of each check that can be compared: the place of the check in which each stands first.

    None of a check can be where another one remembers so small a share of its rows that too few are left.
    """
    cut = [check.rows[-1] for check in checks if not check.whole]
    rows = [check.rows[check.rows <= min(cut)] if cut else check.rows for check in checks]
    owner = np.repeat(np.arange(len(rows)), [len(each) for each in rows])
    _, first, which = np.unique(np.concatenate(rows), return_index=True, return_inverse=True)
    found = np.split(owner[first][which], np.cumsum([len(each) for each in rows])[:-1])
    return [each if not cut or len(each) >= LEAST_COMPARED else each[:0] for each in found]
