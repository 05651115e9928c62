"""Whether a withdrawal is answered with a training now: pure rules, one sentence each.

A right does not wait: neither `drift.enabled` nor a quorum, new rows or a cool-down are asked for. What is
left are a champion that is touched, parties enough to train, and one run of a recipe at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fedmodels.errors import QuorumMissed, RunConflict
from fedmodels.protocol.retraining import RunAge, check_budget, stopped_run
from fedmodels.words import counted

WITHDRAWAL = {"cause": "withdrawal"}
"""What the flow `retraining` is given as its reason."""
WITHDRAWAL_OPEN = "withdrawal-run-open"
WITHDRAWAL_STOPPED = "withdrawal-run-stopped"
RELEASE_WAITS = "withdrawal-release-waits"
TOO_FEW = "withdrawal-parties"
NEEDS_A_PERSON = frozenset({WITHDRAWAL_STOPPED, RELEASE_WAITS, TOO_FEW, "drift-budget"})
"""Codes of what no time mends: until a person acts, no retraining begins."""


@dataclass(frozen=True)
class WithdrawalFacts:
    """What stands in the bucket when a retraining without withdrawn rows is asked for."""

    recipe: str
    touching: tuple[str, ...]
    """Keys of the notices that touch the champion."""
    answered: str | None
    """The run of the retraining that begins, or began and did not fail, and is the answer to all of them."""
    left: tuple[str, ...]
    """Parties of the champion's run that have not left."""
    needed: int
    """`min_available_parties`."""
    runs: Sequence[RunAge] = ()
    """Open runs of the recipe, and trainings that have been asked for."""
    budget: str = ""
    """Why the privacy budget allows no further run, as a clause; empty when it does."""


def is_withdrawal(reason: object) -> bool:
    """Whether the flow `retraining` was asked because of a withdrawal."""
    return reason == WITHDRAWAL


def check_under_way(recipe: str, run: str | None, release: int | None) -> None:
    """Refuse, for a retraining of the recipe is under way, that anybody began for whatever reason.

    Args:
        recipe: name of the recipe.
        run: the run that it trains, where it has taken a number.
        release: of its model, which learned from nothing that was withdrawn and asks a person.

    Raises:
        RunConflict: `withdrawal-release-waits`, or `withdrawal-run-open`.
    """
    if release is not None:
        raise RunConflict(
            f"Release {release} of {recipe} learned from nothing that was withdrawn and waits for a person, "
            "so no training begins beside it",
            fix=f"run fedcart release approve {recipe} {release}, or reject it",
            code=RELEASE_WAITS,
        )
    raise RunConflict(
        f"A retraining of {recipe} is under way{f': run {run}' if run else ''}",
        fix="wait for its end: see fedcart runs list",
        code=WITHDRAWAL_OPEN,
    )


def check_withdrawal(facts: WithdrawalFacts) -> None:
    """Hold a retraining without withdrawn rows against what stands.

    Raises:
        RunConflict: `withdrawal-nothing`, `withdrawal-answered`, `withdrawal-run-stopped`,
            `withdrawal-run-open` or `drift-budget`.
        QuorumMissed: `withdrawal-parties`: too few parties are left.
    """
    name = facts.recipe
    if not facts.touching:
        raise RunConflict(
            f"The champion of {name} has learned from nothing that was withdrawn",
            fix="do nothing",
            code="withdrawal-nothing",
        )
    if facts.answered:
        raise RunConflict(
            f"A retraining of {name} without what was withdrawn has begun: run {facts.answered}",
            fix=f"see fedcart runs show {facts.answered} and, for what became of its model, fedcart release "
            "list: where that is refused, a person trains and proposes the next one",
            code="withdrawal-answered",
        )
    if len(facts.left) < facts.needed:
        raise QuorumMissed(
            f"By what the coordinator has heard, {counted(len(facts.left), 'party')} of {name} "
            f"{'is' if len(facts.left) == 1 else 'are'} left, and min_available_parties is {facts.needed}, "
            "so that no training without what was withdrawn begins by itself",
            fix=f"train by hand with fedcart train --recipe FILE, the file of {name}, and propose that "
            "model, where parties have come back or the recipe takes fewer; or let further parties join",
            code=TOO_FEW,
        )
    if stopped := stopped_run(facts.runs):
        raise RunConflict(
            f"The run {stopped.run} of {name} has been open for {stopped.age:.0f} s and nobody conducts it "
            "any more, so no training without what was withdrawn begins",
            fix=f"end it with fedcart runs cancel {stopped.run}: it may have learned from that, too",
            code=WITHDRAWAL_STOPPED,
        )
    if open_run := next((run for run in facts.runs if run.open), None):
        raise RunConflict(
            f"The run {open_run.run} of {name} is open",
            fix=f"wait for its end, or run fedcart runs cancel {open_run.run}",
            code=WITHDRAWAL_OPEN,
        )
    check_budget(name, facts.budget)
