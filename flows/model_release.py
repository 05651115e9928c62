"""One release: the kept model of a run against the champion, a person's word if the recipe asks, the swap.

A flow run that is suspended ends its process and begins again from the top when it is resumed. So every step
finds in the bucket what stands, by the id of the flow run, and takes only what is missing. An expired pause
is failed by the Prefect server without any of this running: the deadline's rejection is then written by
housekeeping, and promotion holds the approval against its deadline itself.
"""

import math
from typing import Any, Literal

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed, Failed
from pydantic import Field

from fedmodels.errors import FedcartError, RunConflict, write_coded
from fedmodels.identifiers import check_identifier
from fedmodels.protocol.releases import LONGEST_NAME, LONGEST_WORDS, Approval, ReleaseReport, ReleaseRequest
from fedmodels.protocol.releasing import decisive_check, failed_checks
from infra.settings import load_settings
from tasks.release.artifacts import report_markdown
from tasks.release.desk import ReleaseDesk, form_key
from tasks.release.steps import (
    check_release,
    find_answer,
    find_form,
    note_refusal,
    promote_release,
    record_release,
    refuse_withdrawn,
    reject_unanswered,
    request_release,
    show_lineage,
    show_report,
    sign_release,
    take_answer,
    take_release,
)
from tasks.release.taking import LASTING
from tasks.tracebacks import silence_tracebacks

BY_RECIPE = "recipe"
"""Who promotes where the recipe asks nobody."""


class ApprovalForm(RunInput):
    """Approve or reject the release that the report above describes."""

    decision: Literal["approve", "reject"] = Field(description="approve makes the model the champion")
    by: str = Field(description="your name", min_length=1, max_length=LONGEST_NAME)
    comment: str = Field("", description="why, in a sentence", max_length=LONGEST_WORDS)


@flow(name="model-release", flow_run_name="release · {run}", persist_result=False)
def model_release(run: str, reason: str = "") -> dict[str, Any] | State[Any]:
    """Check the kept model of a finished run, and make it the champion of its recipe if nothing refuses it.

    Args:
        run: id of the run.
        reason: why it was trained, for people.
    """
    silence_tracebacks()
    try:
        desk = ReleaseDesk(check_identifier("run", run), load_settings())
        return release(desk, ticket=str(runtime.flow_run.id), reason=reason)
    except FedcartError as error:
        return Failed(message=write_coded(error))


def release(desk: ReleaseDesk, ticket: str, reason: str) -> dict[str, Any] | State[Any]:
    """Request, check, show, sign, hear, promote with a lineage record, and record in the models repository.

    What keeps the model from ever getting a report is noted, and ends its proposals.

    Returns:
        Number, run and model of the new champion; or a completed state whose name says why there is none.
    """
    try:
        request = request_release(desk, ticket, reason)
        asks = take_release(desk, request, ticket)
        report = check_release(desk, request)
    except FedcartError as error:
        if error.code in LASTING:
            note_refusal(desk, error)
        raise
    show_report(request, report)
    name = f"Release {report.release} of {report.recipe}"
    if not report.passed:
        sentence = decisive_check(report).sentence
        return Completed(name="Refused", message=f"{name} {failed_checks(report)}. {sentence}")
    sign_release(desk, report)  # before a person is asked: what is approved is what is signed
    by = BY_RECIPE
    if report.approval == "person":
        word = hear(desk, request, report, ticket, mine=asks)
        if word is None:
            command = f"fedcart release approve {report.recipe} {report.release}"
            return Completed(name="AwaitingApproval", message=f"{name} waits for {command}.")
        if word.decision == "reject":
            said = f": {word.comment}" if word.comment else ""
            return Completed(name="Rejected", message=f"{name} is rejected by {word.by}{said}.")
        by = word.by
    champion = promote_release(desk, report, by)
    record_release(desk, report)
    show_lineage(desk, report)
    return {"recipe": champion.recipe, "release": champion.release, "model_sha256": champion.model_sha256}


def hear(
    desk: ReleaseDesk, request: ReleaseRequest, report: ReleaseReport, ticket: str, *, mine: bool
) -> Approval | None:
    """The word on a release: what stands, a person's, for whom the flow run is suspended, or the deadline's.

    A form that was filled in before the deadline counts however late a worker takes the flow run up again.

    Nobody is asked about a model that learned from what was withdrawn, and no form approves one.

    `None` when nobody can be asked here: only the flow run of a deployment can be suspended, and one that
    found a release which another goes on with (not `mine`) leaves the form to that one.
    """
    word, left = find_answer(desk, report)
    if word is not None:
        return word
    asks = mine and runtime.deployment.id is not None
    given = find_form(report, ticket) if asks else None
    if left <= 0 and given is None:
        return reject_unanswered(desk, report)
    if not asks:
        return None
    if given is None:
        refuse_withdrawn(desk, report)
    form = ask(request, report, left)
    try:
        return take_answer(
            desk, report, approved=form.decision == "approve", by=form.by, comment=form.comment, left=given
        )
    except RunConflict as error:
        if error.code not in ("approval-twice", "approval-late"):
            raise
        return reject_unanswered(desk, report)  # or the word that stands


def ask(request: ReleaseRequest, report: ReleaseReport, seconds: float) -> ApprovalForm:
    """Suspend the flow run until somebody fills in the form; after `seconds` the server fails it."""
    return suspend_flow_run(
        wait_for_input=ApprovalForm.with_initial_data(description=report_markdown(request, report)),
        timeout=max(1, math.ceil(seconds)),
        key=form_key(report.release),
    )
