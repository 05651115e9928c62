"""A run that repeats an earlier one trains on the tables that the party kept of that, not on today's."""

from prefect import task

from fedmodels.protocol.messages import Plan
from infra.layout import plan_key
from tasks.exchange import read_message
from tasks.party.boundary import sealed
from tasks.party.session import PartySession
from tasks.party.versions.bringing_back import BroughtBack, check_out
from tasks.party.watchdog import ended_after
from tasks.policy import LOCAL
from tasks.tagging import tagged


@task(task_run_name="bring_back_data · {session.party}", **LOCAL)
@tagged
@sealed("repeat")
@ended_after(lambda recipe: recipe.preparing_limit)
def bring_back_data(session: PartySession) -> int | None:
    """Bring back the version on which the party trained the run that this one repeats; return its number.

    `None`: the party's policy forbids it, the plan is not that run's recipe, or the party kept no version of
    it, or several since its tables changed while it went on. Today's tables are then trained on, and what
    comes of it tells in which round the rows were others.

    Raises:
        FedcartError: as `check_out`, or of the store; the run is then trained on today's tables as well.
    """
    plan = session.joined_plan
    if plan.repeats is None or not session.policy.repeat_on_versions:
        return None
    repeated = read_message(session.store, plan_key(plan.repeats), Plan)
    numbers = session.versions.used_by(plan.recipe.name, plan.repeats)
    if repeated is None or repeated.recipe != plan.recipe or len(numbers) != 1:
        return None
    folder = session.own_folder / "tables"
    version = check_out(session.versions, plan.recipe.name, str(numbers[0]), folder, session.tables)
    session.brought_back = BroughtBack(version, folder)
    return version.number
