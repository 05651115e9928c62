"""Whether drift is answered with a training: pure rules, one sentence each.

All ages are in seconds, by the store's clock.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from fedmodels.drift_section import DriftSection
from fedmodels.errors import RunConflict
from fedmodels.identifiers import Identifier, PrintableName
from fedmodels.protocol.drift import MOST_SCORES, SeenNotice
from fedmodels.protocol.messages import Message, Plan, Sha256, WhereItBegins
from fedmodels.words import counted

LONGEST_KEY = 1024
LongKey = Annotated[str, Field(max_length=LONGEST_KEY)]
MOST_NAMED = 12
"""Features, and parties, that the sentence of a reason names."""
START_TIMEOUT = 600.0
"""Seconds after which a retraining whose run has no plan never began, unless its training still waits."""
TELL_AGAIN = 300.0
"""Seconds after which a notice that was told and that no retraining has answered is told once more."""
TRAINING_OPEN = "training-open"
TRAINING_STOPPED = "training-stopped"
DRIFT_STOPPED = "drift-run-stopped"


class RetrainingReason(Message):
    """What an event says of why to train again; untrusted until the notice that it names was seen."""

    party: Identifier
    features: Annotated[tuple[PrintableName, ...], Field(min_length=1, max_length=MOST_SCORES)]
    notice: Annotated[str, Field(max_length=LONGEST_KEY)]

    def in_words(self) -> str:
        """`drift at shop-a: embedding, text`; of very many features the first ones, and how many more."""
        named, more = self.features[:MOST_NAMED], len(self.features) - MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        return f"drift at {self.party}: {', '.join(named)}{rest}"


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
    notices: tuple[LongKey, ...] = ()
    """Keys of those notices: this is the answer to them, unless the run fails or is cancelled."""
    drifts: tuple[Sha256, ...] = ()
    """What they tell of: this answers notices that renew them, too."""
    withdrawals: Annotated[tuple[LongKey, ...], Field(exclude_if=lambda keys: not keys)] = ()
    """Keys of the notices of withdrawal that this is the answer to, and not to drift; not written where there
    are none, as the next."""
    without: Annotated[tuple[Identifier, ...], Field(exclude_if=lambda parties: not parties)] = ()
    """Parties that left: they take no part."""
    begins_from: WhereItBegins = None
    """The last model that never saw what was withdrawn; `None`: the recipe's base model."""
    reason: Annotated[str, Field(max_length=2000)]


class ToldNotice(Message):
    """`told/RECIPE/PARTY.json`: the notice of a party that was told last, by an event. Its age says when."""

    key: Annotated[str, Field(max_length=LONGEST_KEY)]
    drift: Sha256 | None = None
    """What it tells of: a notice that renews it is no news."""
    stopped: Identifier | None = None
    """The open run that nobody conducted then."""


@dataclass(frozen=True)
class ValidNotice:
    """A notice that was found valid, and the seconds since its party left it."""

    seen: SeenNotice
    age: float


class PrivacyBudget(Protocol):
    """What a recipe's runs have spent of privacy, and may spend: the place for a ledger of it."""

    def forbids(self, plan: Plan) -> str:
        """Why one more run of the plan would break the budget, as a clause; empty when it would not."""


class NoBudget:
    """Of recipes that keep none; there is no section for it yet, so of all of them."""

    def forbids(self, plan: Plan) -> str:
        """Nothing is kept, so nothing is forbidden."""
        del plan
        return ""


@dataclass(frozen=True)
class RunAge:
    """A run of the recipe: since when it stands, and whether it is open."""

    run: str
    age: float
    open: bool
    conducted: bool = True
    """Whether somebody conducts it, or will, as far as the Prefect server knows."""


@dataclass(frozen=True)
class Facts:
    """What stands in the bucket when a retraining is asked for."""

    recipe: str
    noticed: frozenset[str]
    """Parties with a valid notice that is young enough and about the champion."""
    runs: tuple[RunAge, ...] = ()
    """Open runs of the recipe, whoever began them, and trainings that have been asked for."""
    retrained: RunAge | None = None
    """The latest run that answered drift."""
    new_rows: int | None = None
    """Labelled rows of those parties that the champion has not met; `None` when one of them does not tell."""
    budget: str = ""
    """Why the privacy budget allows no further run, as a clause; empty when it does, or none is kept."""

    @property
    def stopped(self) -> RunAge | None:
        """An open run that nobody conducts any more: no retraining begins beside it until a person acts."""
        return stopped_run(self.runs)


def check_retraining(section: DriftSection, facts: Facts) -> None:
    """Hold a retraining against quorum, open runs, cool-down and privacy budget.

    The cool-down counts from the last retraining. A run that a schedule or a person began starts none: else
    a training every night would leave no hour for drift.

    Raises:
        RunConflict: `drift-disabled`, `drift-quorum`, `drift-run-stopped`, `drift-nothing-new`,
            `drift-run-open`, `drift-cool-down` or `drift-budget`.
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
    if stopped := facts.stopped:
        raise RunConflict(
            f"The run {stopped.run} of {name} has been open for {stopped.age:.0f} s and nobody conducts it "
            f"any more, so the drift that {', '.join(sorted(facts.noticed))} told of starts no retraining",
            fix=f"go on with fedcart train --resume {stopped.run}, or end it with "
            f"fedcart runs cancel {stopped.run}; drift that lasts is told again after that",
            code=DRIFT_STOPPED,
        )
    if facts.new_rows is not None and facts.new_rows < section.min_new_rows:
        raise RunConflict(
            f"The parties of {name} that told of drift have {counted(facts.new_rows, 'labelled row')} that "
            f"the champion has not met, and drift.min_new_rows is {section.min_new_rows}: there is nothing "
            "new to learn",
            fix="label fresh rows, or train by hand",
            code="drift-nothing-new",
        )
    if open_run := next((run for run in facts.runs if run.open), None):
        raise RunConflict(
            f"The run {open_run.run} of {name} is open",
            fix=f"wait for its end, or run fedcart runs cancel {open_run.run} if it was given up",
            code="drift-run-open",
        )
    if facts.retrained and facts.retrained.age < section.cool_down:
        raise RunConflict(
            f"The retraining {facts.retrained.run} of {name} began {facts.retrained.age:.0f} s ago, "
            f"and drift.cool_down is {section.cool_down:g} s",
            fix="wait, or train by hand",
            code="drift-cool-down",
        )
    check_budget(name, facts.budget)


def check_budget(recipe: str, why_not: str) -> None:
    """Hold a retraining against the privacy budget's word, a clause that is empty where it allows one.

    Raises:
        RunConflict: `drift-budget`.
    """
    if why_not:
        raise RunConflict(
            f"A retraining of {recipe} would break the privacy budget: {why_not}",
            fix="raise the budget, or do without",
            code="drift-budget",
        )


def stopped_run(runs: Sequence[RunAge]) -> RunAge | None:
    """The first open run that nobody conducts any more."""
    return next((run for run in runs if run.open and not run.conducted), None)


def check_alone(recipe: str, runs: Sequence[RunAge], living: Set[str]) -> None:
    """Hold a training that a schedule began against the recipe's others: one at a time.

    Args:
        recipe: name of the recipe.
        runs: open ones of the recipe, and trainings that have been asked for.
        living: those of them that somebody conducts, or will.

    Raises:
        RunConflict: `training-open`, where nothing is wrong; or `training-stopped`: nobody conducts the
            open run any more, and until a person ends it or goes on with it no other one begins.
    """
    stopped = next((run for run in runs if run.open and run.run not in living), None)
    if stopped is not None:
        raise RunConflict(
            f"The run {stopped.run} of {recipe} has been open for {stopped.age:.0f} s and nobody conducts it "
            "any more, so no scheduled training begins",
            fix=f"go on with fedcart train --resume {stopped.run}, or end it with "
            f"fedcart runs cancel {stopped.run}",
            code=TRAINING_STOPPED,
        )
    if open_run := next((run for run in runs if run.open), None):
        raise RunConflict(
            f"The run {open_run.run} of {recipe} has been open for {open_run.age:.0f} s, so this training is "
            "left out",
            fix=f"wait for its end, or run fedcart runs cancel {open_run.run} if it was given up",
            code=TRAINING_OPEN,
        )


def to_tell(
    unanswered: Sequence[ValidNotice],
    told: Mapping[str, tuple[ToldNotice, float]],
    *,
    allowed: bool,
    stopped: str | None = None,
) -> tuple[SeenNotice, ...]:
    """The notices about a champion that are to be told now: one a party at most, its youngest.

    A new one is told whatever the rules say: the event is a fact, and the retraining that it starts says why
    it does not begin. Once more it is told where no rule stands in the way any longer: the event may have
    been lost, or have come at a bad time. And once for each open run that stopped: the retraining then fails
    with what a person has to do, where before it only said that the time was bad.

    Args:
        unanswered: valid notices that no retraining has answered, of one recipe about its champion.
        told: party to what was told last, and the seconds since then.
        allowed: whether a retraining might begin now.
        stopped: the open run that nobody conducts and that keeps one from beginning.
    """
    youngest: dict[str, ValidNotice] = {}
    for notice in sorted(unanswered, key=lambda each: (each.age, each.seen.key), reverse=True):
        youngest[notice.seen.party] = notice

    def due(seen: SeenNotice) -> bool:
        if seen.party not in told:
            return True
        last, since = told[seen.party]
        known = seen.key == last.key or (seen.drift is not None and seen.drift == last.drift)
        again = (allowed and since >= TELL_AGAIN) or (stopped is not None and stopped != last.stopped)
        return not known or again

    return tuple(notice.seen for _, notice in sorted(youngest.items()) if due(notice.seen))


def reason_in_words(given: RetrainingReason | None, parties: Sequence[str]) -> str:
    """Why a retraining begins, for people."""
    named = sorted(parties)[:MOST_NAMED]
    more = len(parties) - len(named)
    told = f"told by {', '.join(named)}{f' … and {more} more' if more else ''}"
    return f"{given.in_words()} ({told})" if given else f"drift {told}"


def retraining_tags(request: RetrainingRequest) -> list[str]:
    """Tags of the flow run that trains."""
    if request.withdrawals:
        named = (f"withdrawal:{party}" for party in request.parties)
        return [f"retraining:{request.number}", "reason:withdrawal", *named]
    return [f"retraining:{request.number}", "reason:drift", *(f"drift:{party}" for party in request.parties)]
