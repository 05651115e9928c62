"""What has happened in a run when a case's fault comes, so that steps are taken which else are not."""

from dataclasses import dataclass, replace
from typing import Literal

from fedmodels.protocol.recording import Status
from tests.faults.points import COORDINATOR, Order, Side
from tests.faults.recipes import (
    RecipeOf,
    all_required,
    late_ones_count_next_time,
    one_round_may_fail,
    the_worst_is_dropped,
    untuned,
    who_sits_out_is_left_out,
)

Alike = Literal["all count", "same decisions", "same scene"]
"""Which run without a fault a case must end like: the plain one, in which all count; one in which the same
parties count in each round, whichever these are; or one in which the same scene was played."""


@dataclass(frozen=True)
class Scene:
    """One thing that happens in a run, by an order or two, and what a run comes to in which it did."""

    begins: tuple[Order, ...]
    """Each obeyed once; where a role is empty, by the party that the case is about. A case's fault comes
    after the first of them."""
    alike: Alike = "all count"
    recipe: RecipeOf = all_required
    resumes: int = 0
    ends: Status = "finished"
    shared: bool = False
    """Whether cases may share a run: nothing of a party's, whose restarts are counted, is at stake."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """Whose points are hit in it. Where all decisions must be the scene's own, no party may be lost."""
        return ("coordinator",) if self.alike == "same scene" else ("coordinator", "party")

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
DROPS = Scene((), "same scene", the_worst_is_dropped, shared=True)
"""One party's labels are wrong: the gate refuses the first average, and whoever spoiled it is looked for."""
TAKEN_BACK = Scene(
    (Order(COORDINATOR, "aggregate", "", "before", "take back", round=1),),
    "same scene",
    one_round_may_fail,
    shared=True,
)
"""A party changes its update after the decision that counts it: the average cannot be made."""
SALVAGES = Scene(
    (Order("", "submit_update", "create receipt", "before", "hang", round=1), sits_out("", 2)),
    "same scene",
    late_ones_count_next_time,
    shared=True,
)
"""A party submits after its round is decided, and has no newer update when the next one is."""
CANCELLED = Scene(
    (Order(COORDINATOR, "move_head", "", "before", "cancel", round=2),),
    "same scene",
    untuned,
    ends="cancelled",
)
"""A person cancels the run when HEAD is about to follow the record of a round that passed."""
SCENES = (
    RESUMED,
    SITS_OUT,
    FORBIDS,
    CANNOT_LOAD,
    TAKES_OVER,
    DROPS,
    TAKEN_BACK,
    SALVAGES,
    CANCELLED,
)
