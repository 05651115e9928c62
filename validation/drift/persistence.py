"""Whether drift has lasted: what turns the verdicts of scheduled checks into a reason to train again."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedmodels.errors import InputError


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
    """Share of its rows that a check may have in common with the next one that counts."""

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


@dataclass(frozen=True)
class PastCheck:
    """One check, as it is remembered.

    Raises:
        InputError: `drift-check`: it ends before it begins, or covers nothing.
    """

    reference: str
    """Hash of the reference that it was held against."""
    begin: float
    """Where its rows begin, in any unit that grows with time: seconds, or the number of a row."""
    end: float
    """Where they end, exclusively."""
    drifted: tuple[str, ...] = ()
    """Features that drifted."""

    def __post_init__(self) -> None:
        if not self.begin < self.end:
            raise InputError(
                f"A drift check covers rows from {self.begin!r} to {self.end!r}, which are none",
                fix="give it the bounds of its rows",
                code="drift-check",
            )


def persistent_drift(checks: Sequence[PastCheck], policy: PersistencePolicy) -> tuple[str, ...]:
    """Features whose drift has lasted, as of the last check; any of them is a reason to train again.

    A check every hour over the rows of a day sees most rows 24 times, and one unlucky day is one piece of
    evidence, not 24. So checks are counted backwards from the last one, and one counts only if it shares
    no more than `most_overlap` of its rows with the one counted after it. Checks against another reference
    than the last one's do not count: a new model starts afresh.

    Args:
        checks: in the order in which they were made, the newest last; refused checks are left out.
        policy: how many must agree.

    Returns:
        The features in alphabetical order; none while fewer than `needed` checks count.
    """
    counted = _counted(checks, policy)
    if not counted:
        return ()
    return tuple(
        sorted(
            feature
            for feature in set(counted[0].drifted)
            if sum(feature in check.drifted for check in counted) >= policy.needed
        )
    )


def _counted(checks: Sequence[PastCheck], policy: PersistencePolicy) -> list[PastCheck]:
    """The newest `of` checks that overlap little enough, the newest first."""
    counted: list[PastCheck] = []
    for check in reversed(checks):
        if len(counted) == policy.of:
            break
        if not counted:
            counted.append(check)
            continue
        after = counted[-1]
        shared = min(check.end, after.end) - after.begin
        few_shared = shared <= policy.most_overlap * (check.end - check.begin)
        if few_shared and check.reference == after.reference:
            counted.append(check)
    return counted
