"""The steps of a release as Prefect tasks: each can be taken again and finds what stands."""

from functools import partial

from prefect import task
from prefect.logging import get_run_logger

from fedmodels.errors import FedcartError, write_coded
from fedmodels.model_card import model_card
from fedmodels.protocol.releases import Approval, Champion, ReleaseReport, ReleaseRequest
from infra.deployments.answered import seconds_left
from infra.deployments.looking import is_going
from infra.keys import public_key
from tasks.policy import LOCAL, STORE
from tasks.release.answering import answer, reject_late
from tasks.release.artifacts import show_card as show_model_card
from tasks.release.artifacts import show_report as show
from tasks.release.desk import ReleaseDesk, form_key
from tasks.release.hearing import hear_withdrawals
from tasks.release.kept import kept_model
from tasks.release.lineage import read_lineage
from tasks.release.promoting import promote
from tasks.release.pruned import refuse_pruned, refuse_while_pruned
from tasks.release.reading import find_report, read_report
from tasks.release.recording import record_releases
from tasks.release.report import build_report
from tasks.release.requesting import is_open, open_release, propose
from tasks.release.signing import document_release
from tasks.release.signing import sign_release as sign
from tasks.release.taking import refuse_for_good, take_up
from tasks.release.withdrawn import end_withdrawn, known_notices, mark_release
from tasks.tagging import tagged


@task(task_run_name="request_release · {desk.run}", **STORE)
@tagged
def request_release(desk: ReleaseDesk, ticket: str, reason: str) -> ReleaseRequest:
    """Take a release's number for the run's kept model, or find a release that asks the same already.

    Raises:
        RunConflict: `pruned`, `prune-going`.
    """
    kept = kept_model(desk.store, desk.run)
    refuse_pruned(desk.store, desk.run, kept.sha256)
    request = open_release(
        desk.store,
        kept.plan.recipe.name,
        ticket,
        run=desk.run,
        round_number=kept.round,
        model_sha256=kept.sha256,
        reason=reason,
    )
    refuse_while_pruned(desk.store, desk.run, kept.sha256)
    return request


@task(task_run_name="take_release · {request.recipe} {request.release}", **STORE)
@tagged
def take_release(desk: ReleaseDesk, request: ReleaseRequest, ticket: str) -> bool:
    """Whether this flow run goes on with the release, and asks: it began it, or took it from a dead one."""
    if request.ticket != ticket and not is_open(desk.store, request):
        return False
    return take_up(desk.store, request, ticket, is_going)


@task(task_run_name="note_refusal · {desk.run}", **STORE)
@tagged
def note_refusal(desk: ReleaseDesk, error: FedcartError) -> None:
    """Leave why the run's model can never be released, so that nobody begins its checks for ever."""
    refuse_for_good(desk.store, desk.run, error)


@task(task_run_name="check_release · {request.recipe} {request.release}", **STORE)
@tagged
def check_release(desk: ReleaseDesk, request: ReleaseRequest) -> ReleaseReport:
    """Make all checks and leave the report, or adopt the one that stands; mark what was withdrawn."""
    found = find_report(desk.store, request.recipe, request.release)
    report = found.report if found else propose(desk.store, build_report(desk, request))
    notices = known_notices(desk.store, request.recipe)
    mark_release(desk.store, desk.signing_key, request.recipe, request.release, notices)
    return report


@task(task_run_name="show_report · {report.recipe} {report.release}", **LOCAL)
@tagged
def show_report(request: ReleaseRequest, report: ReleaseReport) -> None:
    """The report as an artifact."""
    show(request, report)


@task(task_run_name="sign_release · {report.recipe} {report.release}", **STORE)
@tagged
def sign_release(desk: ReleaseDesk, report: ReleaseReport) -> None:
    """Sign the model's files, unless that is done.

    Raises:
        IntegrityError: `release-altered`: a blob of the model is missing or damaged.
    """
    sign(desk.store, desk.model_key, read_report(desk.store, report.recipe, report.release), desk.folder)


@task(task_run_name="find_answer · {report.recipe} {report.release}", **STORE)
@tagged
def find_answer(desk: ReleaseDesk, report: ReleaseReport) -> tuple[Approval | None, float]:
    """The word on the report that stands, and the seconds in which somebody may still give one."""
    found = read_report(desk.store, report.recipe, report.release)
    return found.approval, max(0.0, report.approval_deadline - found.waited)


@task(task_run_name="find_form · {report.recipe} {report.release}", **STORE)
@tagged
def find_form(report: ReleaseReport, flow_run: str) -> float | None:
    """Seconds to the deadline when somebody filled in the form of this flow run; `None` while nobody has."""
    return seconds_left(flow_run, form_key(report.release))


@task(task_run_name="reject_late · {report.recipe} {report.release}", **STORE)
@tagged
def reject_unanswered(desk: ReleaseDesk, report: ReleaseReport) -> Approval:
    """Write the deadline's rejection; return what stands, which a person may have written just before."""
    return reject_late(desk.store, read_report(desk.store, report.recipe, report.release))


@task(task_run_name="refuse_withdrawn · {report.recipe} {report.release}", **STORE)
@tagged
def refuse_withdrawn(desk: ReleaseDesk, report: ReleaseReport) -> None:
    """End a release whose model learned from what parties have withdrawn until now.

    Raises:
        RunConflict: `release-withdrawn`.
    """
    _refuse_withdrawn(desk, report)


@task(task_run_name="take_answer · {report.recipe} {report.release}", **STORE)
@tagged
def take_answer(
    desk: ReleaseDesk,
    report: ReleaseReport,
    *,
    approved: bool,
    by: str,
    comment: str,
    left: float | None = None,
) -> Approval:
    """Write a person's word once; `left` seconds were there to the deadline when the form was filled in.

    None that approves what learned from something withdrawn: it would keep the release from being rejected.

    Raises:
        RunConflict: somebody gave one before, or it was given after the deadline; or `release-withdrawn`.
    """
    if approved:
        _refuse_withdrawn(desk, report)
    return answer(
        desk.store, report.recipe, report.release, approved=approved, by=by, comment=comment, left=left
    )


@task(task_run_name="promote · {report.recipe} {report.release}", **STORE)
@tagged
def promote_release(desk: ReleaseDesk, report: ReleaseReport, by: str) -> Champion:
    """Verify the signature, write the lineage record, and make the release the champion.

    What parties have withdrawn since the checks is heard first: the word on the release may have taken days.

    Raises:
        RunConflict: something refuses it, or another promotion came first.
        IntegrityError: `release-altered`: the model is not what was signed.
    """
    _hear(desk)
    document = partial(document_release, desk.store, desk.signing_key, desk.model_key, desk.folder)
    return promote(desk.store, report.recipe, report.release, by, document)


@task(task_run_name="record_release · {report.recipe} {report.release}", **LOCAL)
@tagged
def record_release(desk: ReleaseDesk, report: ReleaseReport) -> None:
    """Let the models repository follow the champion.

    Best effort: the champion stands in the bucket, and housekeeping records what is left out here.
    """
    try:
        done = record_releases(desk.recorder, report.recipe)
    except FedcartError as error:
        get_run_logger().warning("The models repository does not show it yet: %s", write_coded(error))
        return
    get_run_logger().info("Recorded in the models repository: %s", ", ".join(done.tags) or "nothing new")


@task(task_run_name="show_lineage · {report.recipe} {report.release}", **LOCAL)
@tagged
def show_lineage(desk: ReleaseDesk, report: ReleaseReport) -> None:
    """The model card, made from the lineage record, as an artifact.

    Best effort: the champion stands, and a view of where it comes from must not fail the flow that made it.
    """
    try:
        found = read_report(desk.store, report.recipe, report.release)
        lineage = read_lineage(desk.store, found, public_key(desk.signing_key))
    except FedcartError as error:
        get_run_logger().warning("The model card is not shown: %s", write_coded(error))
        return
    show_model_card(report, model_card(lineage, report))


def _refuse_withdrawn(desk: ReleaseDesk, report: ReleaseReport) -> None:
    _hear(desk)
    end_withdrawn(desk.store, report)


def _hear(desk: ReleaseDesk) -> None:
    for fault in hear_withdrawals(desk.store, desk.signing_key, desk.party_keys).faults:
        get_run_logger().warning("Of what was withdrawn: %s", write_coded(fault))
