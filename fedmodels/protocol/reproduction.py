"""Whether two runs of one recipe are the same, held against each other in the order of cause and effect.

Pure. The first thing that differs is the one to look at: what comes after it follows from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from fedmodels.identifiers import COORDINATOR
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import (
    AcceptedUpdate,
    Candidate,
    Closed,
    Decision,
    Environment,
    Plan,
    Receipt,
    Record,
)

TRAINING_ROWS = "training rows"
"""What of a party differs when it trained on other rows."""


@dataclass(frozen=True)
class PlayedRound:
    """One closed round and what led to it; `receipts` by party, `None` of one that is gone."""

    record: Record
    decision: Decision
    candidate: Candidate | None
    receipts: Mapping[str, Receipt | None]


@dataclass(frozen=True)
class PlayedRun:
    """A run that is over, as its messages tell it."""

    plan: Plan
    rounds: Sequence[PlayedRound]
    closed: Closed


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same: where, what, and what it is in either run."""

    where: str
    what: str
    then: str
    now: str


@dataclass(frozen=True)
class _Fact:
    """`value` is `None` where nobody knows it: a receipt that is gone, a message of an older version."""

    where: str
    what: str
    value: str | None


def first_difference(then: PlayedRun, now: PlayedRun) -> Difference | None:
    """The first thing in the order of cause and effect that differs; `None`: all of it is the same.

    What is known of one run alone is not compared.
    """
    for one, other in zip_longest(_facts(then), _facts(now)):
        if one is None or other is None or (one.where, one.what) != (other.where, other.what):
            return Difference("the run", "rounds", str(len(then.rounds)), str(len(now.rounds)))
        if None not in (one.value, other.value) and one.value != other.value:
            return Difference(one.where, one.what, str(one.value), str(other.value))
    return None


def environment_differences(then: PlayedRun, now: PlayedRun) -> tuple[Difference, ...]:
    """What coordinator and parties computed with that is another now, as far as both runs tell it."""
    ours, theirs = _environments(then), _environments(now)
    return tuple(
        Difference(role, name, _in_words(getattr(ours[role], name)), _in_words(getattr(theirs[role], name)))
        for role in ours
        if role in theirs
        for name in Environment.model_fields
        if getattr(ours[role], name) != getattr(theirs[role], name)
    )


def _environments(run: PlayedRun) -> dict[str, Environment]:
    """By role, the coordinator first: with what it began."""
    found = {COORDINATOR: run.plan.environment} if run.plan.environment else {}
    for played in run.rounds:
        for party, receipt in sorted(played.receipts.items()):
            if receipt and receipt.environment:
                found.setdefault(party, receipt.environment)
    return found


def _in_words(value: object) -> str:
    return "unknown" if value in (None, "") else str(value)


def _facts(run: PlayedRun) -> Iterator[_Fact]:
    yield from _of_plan(run.plan)
    for played in run.rounds:
        yield from _of_round(played)
    yield _Fact("the run", "kept model", run.closed.model_sha256)


def _of_plan(plan: Plan) -> Iterator[_Fact]:
    where = "the plan"
    yield _Fact(where, "recipe", sha256_hex(canonical_json(plan.recipe)))
    yield _Fact(where, "parties", ", ".join(sorted(plan.parties)))
    yield _Fact(where, "labels", ", ".join(plan.labels))
    yield _Fact(where, "base model", plan.base_model_sha256)
    yield _Fact(where, "architecture", plan.architecture_sha256)
    for name in ("public", "validation", "holdout"):
        pinned = (plan.sets or {}).get(name)
        yield _Fact("the coordinator's rows", f"{name} set", pinned.sha256 if pinned else None)


def _of_round(played: PlayedRound) -> Iterator[_Fact]:
    record, decision, candidate = played.record, played.decision, played.candidate
    where = f"round {record.round}"
    yield _Fact(where, "parties that count", ", ".join(map(_named, decision.accepted)) or "none")
    receipts = [(update, played.receipts.get(update.party)) for update in decision.accepted]
    for update, receipt in receipts:
        rows = receipt.data_hash or None if receipt else None
        yield _Fact(f"{where} · {update.party}", TRAINING_ROWS, rows)
    for update, _ in receipts:
        yield _Fact(f"{where} · {update.party}", "share of the average", repr(update.weight))
    for update, _ in receipts:
        yield _Fact(f"{where} · {update.party}", "update", update.update_sha256)
    yield _Fact(where, "average", candidate.aggregate_sha256 if candidate else None)
    yield _Fact(where, "candidate", record.candidate_sha256)
    yield _Fact(where, "outcome", record.outcome)
    yield _Fact(where, "good model", record.model_sha256)


def _named(update: AcceptedUpdate) -> str:
    return f"{update.party} (of round {update.round})" if update.round else update.party
