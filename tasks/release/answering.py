"""The word on a release, a person's or the deadline's: written once. No Prefect, no model.

It moves nothing: `tasks.release.promoting.promote` holds it against the deadline, whoever calls.
"""

from collections.abc import Callable

from fedmodels.errors import InputError
from fedmodels.protocol.releases import (
    AT_DEADLINE,
    LONGEST_NAME,
    LONGEST_WORDS,
    Approval,
    ReleaseRequest,
)
from fedmodels.protocol.releasing import check_approval, overdue
from infra.layout import release_key
from infra.object_store import ObjectStore
from tasks.exchange import create_message
from tasks.release.reading import (
    StandingReport,
    find_report,
    read_report,
    read_request,
    release_numbers,
)


def approve(store: ObjectStore, recipe: str, release: int, by: str, comment: str = "") -> Approval:
    """Approve a release. See `answer`."""
    return answer(store, recipe, release, approved=True, by=by, comment=comment)


def reject(store: ObjectStore, recipe: str, release: int, by: str, comment: str = "") -> Approval:
    """Reject a release. See `answer`."""
    return answer(store, recipe, release, approved=False, by=by, comment=comment)


def answer(
    store: ObjectStore,
    recipe: str,
    release: int,
    *,
    approved: bool,
    by: str,
    comment: str = "",
    left: float | None = None,
) -> Approval:
    """Write a person's word on a release, once.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        release: its number.
        approved: or rejected.
        by: who says so.
        comment: why, for people.
        left: seconds to the deadline when the word was given, if it waited to be written; now otherwise.

    Raises:
        InputError: there is no such release, or no report of it; or `words-invalid`: who or what was said
            is too long, or `deadline` is no name for a person.
        RunConflict: `approval-not-asked`, `approval-twice`, `approval-late` or `release-refused`.
    """
    found = read_report(store, recipe, release)
    waited = found.waited
    if left is not None:
        waited = min(waited, max(0.0, found.report.approval_deadline - left))
    check_approval(found.report, found.approval, waited)
    _check_words(by, comment)
    ours = _approval(found, approved=approved, by=by, comment=comment, delay=found.waited - waited)
    standing = create_message(store, release_key(recipe, release, "approval"), ours)
    if standing != ours:
        check_approval(found.report, standing, waited)
    return standing


def reject_overdue(
    store: ObjectStore, recipe: str, answered: Callable[[ReleaseRequest], bool] = lambda _request: False
) -> tuple[Approval, ...]:
    """Write the deadline's rejection of every release that nobody answered in time; return those written.

    Without it nothing is released too late all the same: `promote` looks at the deadline itself.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        answered: whether somebody gave a word in time that is not in the bucket yet.
    """
    written = []
    for number in release_numbers(store, recipe):
        found = find_report(store, recipe, number)
        if found is None or found.approval or not found.report.passed:
            continue
        if overdue(found.report, found.waited) and not answered(read_request(store, recipe, number)):
            written.append(reject_late(store, found))
    return tuple(word for word in written if word.by == AT_DEADLINE)


def reject_late(store: ObjectStore, found: StandingReport) -> Approval:
    """Write the deadline's rejection of one release; return what stands, which a person may have written."""
    report = found.report
    sentence = f"nobody approved within {report.approval_deadline:g} s"
    ours = _approval(found, approved=False, by=AT_DEADLINE, comment=sentence)
    return create_message(store, release_key(report.recipe, report.release, "approval"), ours)


def _check_words(by: str, comment: str) -> None:
    fault = ""
    if not 1 <= len(by) <= LONGEST_NAME:
        fault = f"The name has {len(by)} characters, 1 to {LONGEST_NAME} are allowed"
    elif by == AT_DEADLINE:
        fault = f"The name {by!r} stands for nobody's approval in time"
    elif len(comment) > LONGEST_WORDS:
        fault = f"The comment has {len(comment)} characters, at most {LONGEST_WORDS} are allowed"
    if fault:
        raise InputError(fault, fix="give another", code="words-invalid")


def _approval(
    found: StandingReport, *, approved: bool, by: str, comment: str, delay: float = 0.0
) -> Approval:
    return Approval(
        recipe=found.report.recipe,
        release=found.report.release,
        report_sha256=found.sha256,
        decision="approve" if approved else "reject",
        by=by,
        comment=comment,
        delay=delay,
    )
