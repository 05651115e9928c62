"""One fault in one run, and which of them may share one."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.points import (
    CLOCKS,
    COORDINATOR,
    LOCAL_EFFECTS,
    LOCAL_STEPS,
    PREFECT_EFFECTS,
    WHOLE_RUN,
    Action,
    Error,
    Order,
    Point,
    When,
)
from tests.faults.recipes import RecipeOf, all_required, one_is_enough
from tests.faults.scenes import Alike, Scene


@dataclass(frozen=True)
class Case:
    """One run with one fault, in a scene or without."""

    point: Point
    action: Action
    when: When
    scene: Scene | None = None

    @property
    def name(self) -> str:
        return f"{self.point.side} · {self.point} · {self.action} {self.when}"

    @property
    def error(self) -> Error:
        if self.point.effect in PREFECT_EFFECTS:
            return "prefect"
        local = self.point.effect in LOCAL_EFFECTS or (
            not self.point.effect and self.point.step in LOCAL_STEPS
        )
        return "disk" if local else "store"

    @property
    def may_lose_a_party(self) -> bool:
        """A party that hangs past its deadline, or whose disk fails, is left out of a round."""
        lost = self.action == "hang" or (self.action == "error" and self.error == "disk")
        return self.point.side == "party" and lost

    @property
    def alike(self) -> Alike:
        """Which run without a fault it must end like."""
        return "same decisions" if self.may_lose_a_party else self.scene.alike if self.scene else "all count"

    @property
    def recipe(self) -> RecipeOf:
        if self.may_lose_a_party:
            return one_is_enough
        return self.scene.recipe if self.scene else all_required

    @property
    def ends(self) -> str:
        return self.scene.ends if self.scene else "finished"

    @property
    def alone(self) -> bool:
        """Whether no other case may share its run: a party's rounds and restarts are counted."""
        return self.may_lose_a_party or not (self.scene is None or self.scene.shared)

    def order(self, party: str) -> Order:
        """What is written for the processes of its run; after its scene's own orders."""
        role = COORDINATOR if self.point.side == "coordinator" else party
        follows = 0 if self.scene and self.scene.begins else None
        return Order(role, self.point.step, self.point.effect, self.when, self.action, self.error, follows)


CLOCK_CASES = tuple(
    Case(Point(side, WHOLE_RUN), "clock", when) for side in ("coordinator", "party") for when in CLOCKS
)


def bundles(cases: Iterable[Case], size: int) -> list[tuple[Case, ...]]:
    """Cases that are played in one run, `size` of them at most: of one side, action and scene.

    A party's session is started again three times a round, so no more than three are of it; and a party that
    may be lost is lost alone.
    """
    kinds: dict[tuple[object, ...], list[Case]] = {}
    for case in cases:
        kind = (case.point.side, case.action, case.alone, case.scene)
        kinds.setdefault(kind, []).append(case)
    made = []
    for alike in kinds.values():
        most = 1 if alike[0].alone else min(size, 3) if alike[0].point.side == "party" else size
        made += [tuple(alike[n : n + most]) for n in range(0, len(alike), most)]
    return sorted(made, key=lambda bundle: bundle[0].point.rank)
