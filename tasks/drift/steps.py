"""The steps of a drift check as Prefect tasks. They run inside the party: nothing of a row leaves them."""

from prefect import task

from tasks.drift.artifacts import show_check
from tasks.drift.checking import DriftCheck, check_against
from tasks.drift.desk import DriftDesk
from tasks.drift.noticing import leave_notice, notice_of
from tasks.drift.released import find_released
from tasks.party.boundary import bordered
from tasks.party.discretion import discreet
from tasks.policy import LOCAL, STORE
from tasks.reading import read_plan
from tasks.tagging import tagged


@task(task_run_name="compare_rows · {desk.party} · {desk.recipe}", **STORE)
@tagged
@bordered("drift")
def compare_rows(desk: DriftDesk) -> DriftCheck:
    """Hold fresh rows against their reference, which is built when there is none of this champion.

    Raises:
        FedcartError: as `check_drift`; one sentence without a value, and without a name that the party's
            policy keeps back.
    """
    released = find_released(desk)
    with discreet(released.plan.recipe.drift, desk.party, desk.policy.drift_features):
        return check_against(desk, released)


@task(task_run_name="show_drift · {desk.party} · {desk.recipe}", **LOCAL)
@tagged
@bordered("show")
def show_drift(desk: DriftDesk, check: DriftCheck) -> str:
    """The check as artifacts."""
    show_check(check, desk.policy.drift_features)
    return desk.party


@task(task_run_name="notify · {desk.party} · {desk.recipe}", **STORE)
@tagged
@bordered("notice")
def notify(desk: DriftDesk, check: DriftCheck) -> str | None:
    """Leave a signed notice if drift has lasted of which the party's policy lets it speak; return its key.

    The check need not be a new one: what an unchanged one said is renewed before it becomes too old.
    """
    notice = notice_of(check, desk.policy.drift_features)
    if notice is None:
        return None
    section = read_plan(desk.store, check.run).recipe.drift
    return leave_notice(desk, notice, section.max_notice_age, section.min_new_rows)
