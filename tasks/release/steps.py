"""The steps of a release as Prefect tasks: each can be taken again and finds what stands."""

from prefect import task

from fedmodels.protocol.releases import Approval, Champion, ReleaseReport, ReleaseRequest
from fedmodels.protocol.releasing import overdue
from tasks.policy import LOCAL, STORE
from tasks.release.artifacts import show_report as show
from tasks.release.desk import ReleaseDesk
from tasks.release.kept import kept_model
from tasks.release.report import build_report
from tasks.release_reading import find_report
from tasks.releasing import answer, open_release, promote, propose, reject_late
from tasks.tagging import tagged


@task(task_run_name="request_release · {desk.run}", **STORE)
@tagged
def request_release(desk: ReleaseDesk, ticket: str, reason: str) -> ReleaseRequest:
    """Take a release's number for the run's kept model, or find the one that this flow run began."""
    kept = kept_model(desk.store, desk.run)
    return open_release(
        desk.store,
        kept.plan.recipe.name,
        ticket,
        run=desk.run,
        round_number=kept.round,
        model_sha256=kept.sha256,
        reason=reason,
    )


@task(task_run_name="check_release · {request.recipe} {request.release}", **STORE)
@tagged
def check_release(desk: ReleaseDesk, request: ReleaseRequest) -> ReleaseReport:
    """Make all checks and leave the report, or adopt the one that stands."""
    found = find_report(desk.store, request.recipe, request.release)
    return found.report if found else propose(desk.store, build_report(desk, request))


@task(task_run_name="show_report · {report.recipe} {report.release}", **LOCAL)
@tagged
def show_report(request: ReleaseRequest, report: ReleaseReport) -> None:
    """The report as an artifact."""
    show(request, report)


@task(task_run_name="find_answer · {report.recipe} {report.release}", **STORE)
@tagged
def find_answer(desk: ReleaseDesk, report: ReleaseReport) -> tuple[Approval | None, float]:
    """The word on the report that stands, and the seconds in which somebody may still give one.

    When those are over the deadline's own rejection is written.
    """
    found = find_report(desk.store, report.recipe, report.release)
    assert found is not None, "a report is never removed"
    if found.approval is None and overdue(found.report, found.waited):
        return reject_late(desk.store, found), 0.0
    return found.approval, max(0.0, report.approval_deadline - found.waited)


@task(task_run_name="take_answer · {report.recipe} {report.release}", **STORE)
@tagged
def take_answer(
    desk: ReleaseDesk, report: ReleaseReport, *, approved: bool, by: str, comment: str
) -> Approval:
    """Write a person's word once.

    Raises:
        RunConflict: somebody gave one before, or the deadline is over.
    """
    return answer(desk.store, report.recipe, report.release, approved=approved, by=by, comment=comment)


@task(task_run_name="promote · {report.recipe} {report.release}", **STORE)
@tagged
def promote_release(desk: ReleaseDesk, report: ReleaseReport, by: str) -> Champion:
    """Make the release the champion.

    Raises:
        RunConflict: something refuses it, or another promotion came first.
    """
    return promote(desk.store, report.recipe, report.release, by)
