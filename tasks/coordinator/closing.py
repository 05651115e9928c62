"""Closing a round by its record, and a run by its last message and the kept model, as a folder."""

import time

from prefect import task

from fedmodels.protocol.messages import Announcement, Closed, Record
from fedmodels.protocol.recording import Status, closing, record_of
from fedmodels.protocol.timing import round_seconds
from infra.layout import closed_key, round_key
from infra.locations import kept_model_folder
from tasks.coordinator.run import CoordinatorRun
from tasks.environment import this_environment
from tasks.exchange import create_message
from tasks.model_folder import write_model_folder
from tasks.policy import STORE
from tasks.tagging import tagged


@task(task_run_name="close_round · round {announcement.round}", **STORE)
@tagged
def close_round(run: CoordinatorRun, announcement: Announcement) -> Record:
    """Write the record, which commits the round, or adopt the one that stands."""
    now = time.perf_counter()
    seconds = round_seconds(run.watch.intervals(), run.round_began, now)
    record = record_of(run.state, seconds, this_environment(run.threads))
    standing = create_message(run.store, round_key(run.run, announcement.round, "record"), record)
    run.round_began = now  # not before it stands: a second try measures from the same beginning
    return standing


@task(task_run_name="close_run · {run.run}", **STORE)
@tagged
def close_run(run: CoordinatorRun, status: Status, code: str = "", reason: str = "") -> Closed:
    """Write the kept model as a folder that `from_pretrained` loads, then `closed.json`."""
    seconds = round(time.perf_counter() - run.begin, 3)
    closed = closing(run.head, run.state.records, status, code, reason, seconds)
    if run.head.best_round:
        write_model_folder(run.store, run.plan, closed.model_sha256, kept_model_folder(run.home, run.run))
    return create_message(run.store, closed_key(run.run), closed)
