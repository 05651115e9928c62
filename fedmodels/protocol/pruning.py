"""Which runs' models may be pruned: pure rules over what is known of each run.

All ages are in seconds, by the store's clock.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from fedmodels.errors import InputError
from fedmodels.protocol.sweeping import SHORTEST_BOUND, parse_bound

OPEN = "it is open"
PLAN_UNKNOWN = "its plan is gone or cannot be read"
JUST_CLOSED = "it was closed within the last hour"
OVER = frozenset({"checks failed", "rejected", "deadline passed", "cannot be checked", "cannot be promoted"})
"""Where a release stands that nothing can promote any more; its model may be proposed under a new number."""


@dataclass(frozen=True)
class Keep:
    """What `--keep` says: so many of each recipe's newest runs, or those closed within so many seconds."""

    text: str
    runs: int | None = None
    seconds: float = 0.0

    @property
    def reason(self) -> str:
        """Why a run stays that this spares."""
        if self.runs is None:
            return f"it was closed within {self.text}"
        return f"it is one of the {self.runs} newest of its recipe"


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run. `closed` is the age of `closed.json`, `None` while there is none.

    `recipe` is `None` where the plan does not say it; `release` where the release stands that keeps it.
    """

    run: str
    recipe: str | None = None
    closed: float | None = None
    finished: bool = False
    release: str | None = None


def parse_keep(text: str) -> Keep:
    """`5`: the five newest; `14d`: those closed within 14 days.

    Raises:
        InputError: it is neither (`keep-invalid`), or an age below an hour (`bound-too-short`).
    """
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return Keep(str(int(text)), runs=int(text))
    if re.fullmatch(r"\d+(\.\d+)?[a-z]", text, re.ASCII):
        return Keep(text, seconds=parse_bound(text))
    raise InputError(
        f"What --keep names, {text!r}, is neither a number of runs nor an age",
        fix="write it as 5 or 30d",
        code="keep-invalid",
    )


def is_over(standing: str, *, documented: bool, answered: bool, withdrawn: bool = False) -> bool:
    """Whether a release keeps its run's models no longer.

    Args:
        standing: where it stands.
        documented: it has a lineage record.
        answered: somebody's word on it, or the deadline's, is written: a form that was filled in before the
            deadline may still wait to be.
        withdrawn: its model learned from what was withdrawn, so that `promote` refuses it for good.
    """
    if documented:
        return False
    if withdrawn and standing == "ready":
        return True
    return standing in OVER and (answered or standing != "deadline passed")


def why_kept(facts: Iterable[RunFacts], keep: Keep, recipe: str | None = None) -> dict[str, str | None]:
    """Each run, and why its models stay; `None`: nothing speaks for them.

    Args:
        facts: of all runs.
        keep: what else is to stay.
        recipe: the only one whose runs are pruned; `None`: each.
    """
    known = tuple(facts)
    newest = _newest(known, keep.runs) if keep.runs else frozenset()
    return {each.run: _why_kept(each, keep, newest, recipe) for each in known}


def _why_kept(each: RunFacts, keep: Keep, newest: frozenset[str], recipe: str | None) -> str | None:
    if each.closed is None:
        return OPEN
    if each.release is not None:
        return f"it has a release: {each.release}"
    if each.recipe is None:
        return PLAN_UNKNOWN
    if recipe not in (None, each.recipe):
        return f"its recipe is not {recipe}"
    if each.closed < SHORTEST_BOUND:
        return JUST_CLOSED
    if each.run in newest or each.closed < keep.seconds:
        return keep.reason
    return None


def _newest(facts: Iterable[RunFacts], count: int) -> frozenset[str]:
    """Of each recipe the runs without a release that were closed last, and those that finished last."""
    lines: dict[tuple[str, bool], list[tuple[float, str]]] = defaultdict(list)
    for each in facts:
        if each.recipe is not None and each.closed is not None and each.release is None:
            for finished in {False, each.finished}:
                lines[each.recipe, finished].append((each.closed, each.run))
    return frozenset(run for line in lines.values() for _, run in sorted(line)[:count])
