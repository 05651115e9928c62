"""A run that is over, read whole, to be held against one that was made to repeat it. No Prefect."""

from contextlib import suppress

from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.chain import check_chain
from fedmodels.protocol.messages import Candidate, Closed, Head, Record
from fedmodels.protocol.reproduction import PlayedRound, PlayedRun
from infra.layout import closed_key, head_key, round_key
from infra.object_store import ObjectStore
from tasks.exchange import read_message
from tasks.reading import list_runs, read_plan, read_records
from tasks.release.lineage import pinned_decision, pinned_receipt

LONGEST = 31
"""Characters of an id."""
TIME = len("-20261126-133610")
"""Characters at the end of a run's id by which those of one recipe differ."""


def read_played(store: ObjectStore, run: str) -> PlayedRun:
    """The run with all its rounds, along a chain of records that is whole.

    Raises:
        InputError: there is no such run.
        RunConflict: `run-open`, or `run-unfinished`: it was cancelled, or failed.
        IntegrityError: a record or decision is missing or was changed.
    """
    plan = read_plan(store, run)
    closed = read_message(store, closed_key(run), Closed)
    head = read_message(store, head_key(run), Head)
    if closed is None or head is None:
        raise RunConflict(f"The run {run} is still open", fix="wait until it is over", code="run-open")
    if closed.status != "finished":
        raise RunConflict(
            f"The run {run} is {closed.status}, and only a finished one can be made again",
            fix="train anew with fedcart train",
            code="run-unfinished",
        )
    records = read_records(store, head)
    check_chain(head, records)
    return PlayedRun(plan, tuple(_played(store, run, record) for record in records), closed)


def next_name(store: ObjectStore, run: str) -> str:
    """An id for the run that is to repeat `run`, which no run has yet.

    A repetition of a repetition counts on. Of a long one the middle is left out: its end tells it from
    others of the recipe.
    """
    taken, number = frozenset(list_runs(store)), 1
    first = _first(store, run, taken)
    while (name := _repetition(first, f"-again-{number}")) in taken:
        number += 1
    return name


def _first(store: ObjectStore, run: str, taken: frozenset[str]) -> str:
    """The run that `run` repeats in the end, as far as plans tell."""
    with suppress(InputError, IntegrityError):  # a name is not worth a refusal
        while (repeated := read_plan(store, run).repeats) is not None and repeated in taken:
            run = repeated
    return run


def _repetition(run: str, ending: str) -> str:
    room = LONGEST - len(ending)
    stem = run if len(run) <= room else run[: room - TIME].rstrip("-") + run[-TIME:]
    return stem + ending


def _played(store: ObjectStore, run: str, record: Record) -> PlayedRound:
    decision = pinned_decision(store, run, record.round, record.decision_sha256)
    receipts = {
        update.party: pinned_receipt(
            store, run, update.party, update.round or record.round, update.receipt_sha256
        )
        for update in decision.accepted
    }
    candidate = read_message(store, round_key(run, record.round, "candidate"), Candidate)
    return PlayedRound(record, decision, candidate, receipts)
