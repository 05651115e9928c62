"""Whether drift is answered with a training: pure rules, one sentence each.

All ages are in seconds, by the store's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from fedmodels.drift_section import DriftSection
from fedmodels.errors import RunConflict
from fedmodels.identifiers import Identifier
from fedmodels.protocol.drift import MOST_SCORES, Name
from fedmodels.protocol.messages import Message, Sha256
from fedmodels.words import counted

LONGEST_KEY = 1024
START_TIMEOUT = 600.0
"""Seconds after which a retraining whose run has no plan is taken for one that never began."""


class RetrainingReason(Message):
    """What an event says of why to train again; untrusted until the notice that it names was seen."""

    party: Identifier
    features: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MOST_SCORES)]
    notice: Annotated[str, Field(max_length=LONGEST_KEY)]

    def in_words(self) -> str:
        """`drift at shop-a: embedding, text`."""
        return f"drift at {self.party}: {', '.join(self.features)}"


class RetrainingRequest(Message):
    """`retrainings/RECIPE/….json`: takes a number for one retraining, so that two events begin one."""

    recipe: Identifier
    number: Annotated[int, Field(ge=1)]
    ticket: Annotated[str, Field(min_length=1, max_length=100)]
    """Who asks, the id of a flow run say: who is started again finds what it began."""
    run: Identifier
    champion_sha256: Sha256
    parties: tuple[Identifier, ...]
    """Parties with a valid notice."""
    reason: Annotated[str, Field(max_length=2000)]


@dataclass(frozen=True)
class RunAge:
    """A run of the recipe: since when it stands, and whether it is open."""

    run: str
    age: float
    open: bool


@dataclass(frozen=True)
class Facts:
    """What stands in the bucket when a retraining is asked for."""

    recipe: str
    noticed: frozenset[str]
    """Parties with a valid notice that is young enough and about the champion."""
    runs: tuple[RunAge, ...] = ()
    """Runs of the recipe, and retrainings whose run has no plan yet."""
    budget: str = ""
    """Why the privacy budget allows no further run, as a clause; empty when it does, or none is kept."""


def check_retraining(section: DriftSection, facts: Facts) -> None:
    """Hold a retraining against quorum, open runs, cool-down and privacy budget.

    Raises:
        RunConflict: `drift-disabled`, `drift-quorum`, `drift-run-open`, `drift-cool-down` or
            `drift-budget`.
    """
    name = facts.recipe
    if not section.enabled:
        raise RunConflict(
            f"The recipe {name} does not watch drift (drift.enabled is false)",
            fix="train by hand if you want to",
            code="drift-disabled",
        )
    if len(facts.noticed) < section.quorum:
        raise RunConflict(
            f"{counted(len(facts.noticed), 'party')} of {name} "
            f"told of drift in the last {section.max_notice_age:g} s, and drift.quorum is {section.quorum}",
            fix="wait for others, or train by hand",
            code="drift-quorum",
        )
    if open_run := next((run for run in facts.runs if run.open), None):
        raise RunConflict(
            f"The run {open_run.run} of {name} is open",
            fix=f"wait for its end, or run fedcart runs cancel {open_run.run} if it was given up",
            code="drift-run-open",
        )
    youngest = min(facts.runs, key=lambda run: run.age, default=None)
    if youngest and youngest.age < section.cool_down:
        raise RunConflict(
            f"The run {youngest.run} of {name} began {youngest.age:.0f} s ago, "
            f"and drift.cool_down is {section.cool_down:g} s",
            fix="wait, or train by hand",
            code="drift-cool-down",
        )
    if facts.budget:
        raise RunConflict(
            f"A retraining of {name} would break the privacy budget: {facts.budget}",
            fix="raise the budget, or do without",
            code="drift-budget",
        )


def reason_in_words(given: RetrainingReason | None, parties: Sequence[str]) -> str:
    """Why a retraining begins, for people."""
    told = f"told by {', '.join(sorted(parties))}"
    return f"{given.in_words()} ({told})" if given else f"drift {told}"


def retraining_tags(request: RetrainingRequest) -> list[str]:
    """Tags of the flow run that trains."""
    return [f"retraining:{request.number}", "reason:drift", *(f"drift:{party}" for party in request.parties)]
