"""Announcing a round: the base model, who is asked, and how long they have."""

from prefect import task

from fedmodels.protocol.cohort import draw_cohort
from fedmodels.protocol.messages import Announcement
from infra.layout import round_key
from tasks.coordinator.run import CoordinatorRun, RoundWatch
from tasks.exchange import create_message
from tasks.policy import STORE
from tasks.tagging import tagged


@task(task_run_name="announce_round · round {round_number}", **STORE)
@tagged
def announce_round(run: CoordinatorRun, round_number: int) -> Announcement:
    """Write the announcement, or adopt the one that an earlier coordinator wrote."""
    recipe, head = run.plan.recipe, run.head
    cohort = draw_cohort(
        run.plan.parties, recipe.fraction_train, recipe.min_available_parties, recipe.seed, round_number
    )
    announcement = Announcement(
        run=run.run,
        round=round_number,
        passed_rounds=head.passed_rounds,
        model_sha256=head.model_sha256,
        cohort=cohort,
        round_timeout=recipe.round_timeout,
    )
    run.watch = RoundWatch()
    return create_message(run.store, round_key(run.run, round_number, "announcement"), announcement)
