"""What has happened in a run when a case's fault comes, so that steps are taken which else are not."""

from dataclasses import dataclass, replace
from typing import Literal

from tests.faults.points import COORDINATOR, Order
from tests.faults.recipes import RecipeOf, all_required, who_sits_out_is_left_out

Alike = Literal["all count", "same decisions"]
"""Which run without a fault a case must end like: the plain one, in which all count; or one in which the same
parties count in each round, whichever these are."""


@dataclass(frozen=True)
class Scene:
    """One thing that happens in a run, by an order or two, and what a run comes to in which it did."""

    begins: tuple[Order, ...]
    """Each obeyed once; where a role is empty, by the party that the case is about. A case's fault comes
    after the first of them."""
    alike: Alike = "all count"
    recipe: RecipeOf = all_required
    resumes: int = 0
    shared: bool = False
    """Whether cases may share a run: nothing of a party's, whose restarts are counted, is at stake."""

    def orders(self, party: str) -> list[Order]:
        return [replace(order, role=order.role or party) for order in self.begins]


def sits_out(party: str, number: int) -> Order:
    """The party refuses its data in one round and says so in its receipt: nobody dies or is waited for."""
    return Order(party, "train_local", "", "before", "error", "refused", round=number)


RESUMED = Scene(
    (Order(COORDINATOR, "admit_updates", "create decision", "after", "kill"),), resumes=1, shared=True
)
"""The coordinator was killed, and the steps that only a resume takes are reached."""
SITS_OUT = Scene((sits_out("", 1),), "same decisions", who_sits_out_is_left_out)
FORBIDS = Scene(
    (Order("", "join_run", "", "before", "error", "refused"),), "same decisions", who_sits_out_is_left_out
)
"""The party declines the run before it has the lease, as one whose policy forbids it does."""
CANNOT_LOAD = Scene(
    (Order("", "load_model", "", "before", "error", "refused"),), "same decisions", who_sits_out_is_left_out
)
"""The party has taken the lease when it finds that it must decline."""
TAKES_OVER = Scene((Order("", "train_local", "", "before", "kill", round=1),))
"""A session died; the one that comes after it takes the lease from it."""
SCENES = (RESUMED, SITS_OUT, FORBIDS, CANNOT_LOAD, TAKES_OVER)
