"""Announcing a round: the base model, who is asked, and how long they have."""

from prefect import task

from fedmodels.protocol.messages import Announcement
from infra.layout import round_key
from tasks.coordinator.run import CoordinatorRun, RoundWatch
from tasks.exchange import create_message
from tasks.policy import STORE
from tasks.tagging import tagged


@task(task_run_name="announce_round · round {announcement.round}", **STORE)
@tagged
def announce_round(run: CoordinatorRun, announcement: Announcement) -> Announcement:
    """Write the announcement, or adopt the one that another coordinator wrote."""
    run.watch = RoundWatch()
    key = round_key(run.run, announcement.round, "announcement")
    return create_message(run.store, key, announcement)
