"""Reading a run from the bucket, as a person's command does: no Prefect, no model."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from fedmodels.errors import InputError, IntegrityError
from fedmodels.protocol.messages import Announcement, Candidate, Closed, Decision, Head, Plan, Record
from fedmodels.protocol.summary import run_summary
from infra.layout import closed_key, head_key, plan_key, receipt_key, round_key, runs_prefix
from infra.object_store import ObjectStore
from tasks.exchange import read_message

Found = TypeVar("Found")
LONG_AGO = datetime.min.replace(tzinfo=UTC)
READERS = 8
"""Requests at a time."""
NOT_OPENED = "not opened"
"""Of a run whose coordinator ended before it had written plan and HEAD, or is about to write them."""
DAMAGED = "damaged"
"""Of a run with a message that cannot be read; `fedcart runs verify` names it."""
_NOTHING = {"run_id": "", "recipe": None, "status": "", "model_sha256": None, "final": None, "rounds": 0}


@dataclass(frozen=True)
class RunView:
    """Where a run stands at one moment. `stage` is a word for people."""

    plan: Plan | None = None
    round: int = 0
    passed: int = 0
    stage: str = "starting"
    submitted: tuple[str, ...] = ()
    cohort: tuple[str, ...] = ()
    closed: Closed | None = None


@dataclass(frozen=True)
class PlannedRun:
    """What a plan says that any version of fedcart wrote, or will write."""

    recipe: str
    """The recipe's name."""
    complete: bool
    """Whether all of the recipe's parties take part."""
    repeats: bool = False
    """Whether it makes an earlier run again."""


def list_runs(store: ObjectStore) -> list[str]:
    """Ids of all runs in the bucket, by name."""
    return store.list_folders(runs_prefix())


def runs_by_time(store: ObjectStore) -> list[str]:
    """Ids of all runs in the bucket, oldest first: by the moment when their plan was written.

    Of several in one second, the store's unit, the name decides. A run without a plan comes first.
    """
    runs = list_runs(store)
    with ThreadPoolExecutor(READERS) as readers:
        planned = readers.map(store.put_at, map(plan_key, runs))
        dated = [(at or LONG_AGO, run) for at, run in zip(planned, runs, strict=True)]
    return [run for _, run in sorted(dated)]


def is_open(store: ObjectStore, run: str) -> bool:
    """Whether the run has a plan and is not over: it may be going on, or be resumed."""
    return not store.exists(closed_key(run)) and store.exists(plan_key(run))


def unknown_run(store: ObjectStore, run: str) -> InputError:
    """Told who names a run that the bucket does not hold."""
    known = ", ".join(runs_by_time(store)[-5:]) or "none"
    return InputError(
        f"There is no run {run} in the bucket (the latest are: {known})",
        fix="see fedcart runs list",
        code="run-unknown",
    )


def read_plan(store: ObjectStore, run: str) -> Plan:
    """The run's plan.

    Raises:
        InputError: there is no such run.
    """
    plan = read_message(store, plan_key(run), Plan)
    if plan is None:
        raise unknown_run(store, run)
    return plan


def planned_run(store: ObjectStore, run: str) -> PlannedRun | None:
    """What is known of a run among others, whatever version of fedcart wrote its plan.

    `None` when it has no plan, or a damaged one: a look at all runs must not end at one of them.
    """
    try:
        plan = json.loads(store.read(plan_key(run)) or b"null")
        asked, joining = plan["recipe"]["data"]["parties"], plan["parties"]
        complete, repeats = set(asked) == set(joining), plan.get("repeats") is not None
        return PlannedRun(str(plan["recipe"]["name"]), complete, repeats)
    except (IntegrityError, ValueError, KeyError, TypeError):
        return None


def look_at_runs(
    store: ObjectStore, recipe: str, look: Callable[[str, PlannedRun], Found | None]
) -> list[Found]:
    """What `look` finds of the recipe's runs, several at a time; other recipes' runs are passed over."""

    def looked(run: str) -> Found | None:
        planned = planned_run(store, run)
        return look(run, planned) if planned is not None and planned.recipe == recipe else None

    with ThreadPoolExecutor(READERS) as readers:
        return [found for found in readers.map(looked, list_runs(store)) if found is not None]


def read_records(store: ObjectStore, head: Head) -> list[Record]:
    """The records of all rounds that HEAD has closed, in order; one that is missing is passed over."""
    keys = (round_key(head.run, number, "record") for number in range(1, head.round + 1))
    found = (read_message(store, key, Record) for key in keys)
    return [record for record in found if record is not None]


@dataclass(frozen=True)
class RunMessages:
    """All that a run's coordinator has written of it so far. `closed` is `None` while it is open."""

    plan: Plan
    head: Head
    records: tuple[Record, ...]
    closed: Closed | None


def read_run(store: ObjectStore, run: str) -> RunMessages:
    """A run's own messages.

    Raises:
        InputError: there is no such run, or its coordinator ended before it had opened it.
    """
    plan = read_plan(store, run)
    head = read_message(store, head_key(run), Head)
    if head is None:
        raise InputError(
            f"The run {run} was not opened completely", fix="start a new one", code="run-unknown"
        )
    records = tuple(read_records(store, head))
    return RunMessages(plan, head, records, read_message(store, closed_key(run), Closed))


def read_summary(store: ObjectStore, run: str) -> dict[str, Any]:
    """The run as one JSON document."""
    read = read_run(store, run)
    return run_summary(read.plan, read.head, read.records, read.closed)


def list_row(store: ObjectStore, run: str) -> dict[str, Any]:
    """What a list shows of a run, whatever stands of it; one that lacks its plan or HEAD is `not opened`."""
    if not (store.exists(plan_key(run)) and store.exists(head_key(run))):
        return {**_NOTHING, "run_id": run, "status": NOT_OPENED}
    try:
        summary = read_summary(store, run)
    except IntegrityError:
        return {**_NOTHING, "run_id": run, "status": DAMAGED}
    return {**{key: summary[key] for key in _NOTHING}, "rounds": len(summary["rounds"])}


def read_state(store: ObjectStore, run: str, before: RunView) -> RunView:
    """Where the run stands now; asks the store only for what `before` does not settle."""
    plan = before.plan or read_message(store, plan_key(run), Plan)
    if plan is None:
        return before
    closed = read_message(store, closed_key(run), Closed)
    head = read_message(store, head_key(run), Head)
    number = head.round + 1 if head else 1
    state = {"plan": plan, "round": number, "passed": head.passed_rounds if head else 0, "closed": closed}
    if closed is not None:
        return RunView(**state, stage=closed.status)  # type: ignore[arg-type]
    announcement = read_message(store, round_key(run, number, "announcement"), Announcement)
    if announcement is None:
        return RunView(**state, stage="waiting for parties" if number == 1 else "next round")  # type: ignore[arg-type]
    if read_message(store, round_key(run, number, "candidate"), Candidate):
        stage = "evaluating the candidate"
    elif read_message(store, round_key(run, number, "decision"), Decision):
        stage = "aggregating and fine-tuning"
    else:
        stage = "training at the parties"
    known = before.submitted if before.round == number else ()
    submitted = tuple(
        party
        for party in announcement.cohort
        if party in known or store.exists(receipt_key(party, run, number))
    )
    return RunView(**state, stage=stage, submitted=submitted, cohort=announcement.cohort)  # type: ignore[arg-type]
