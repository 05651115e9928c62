"""Who may approve a release, and which release may become the champion: pure rules, one sentence each.

`waited` is, by the store's clock, the age that `report.json` had when the word on it was given, or has now
while there is none; the store counts whole seconds.
"""

from collections.abc import Sequence
from typing import Literal

from fedmodels.errors import InputError, RunConflict
from fedmodels.protocol.releases import (
    AT_DEADLINE,
    Approval,
    Champion,
    ReleaseCheck,
    ReleaseReport,
    released,
    standing_releases,
)
from fedmodels.words import counted

Standing = Literal[
    "champion",
    "champion before",
    "checks failed",
    "rejected",
    "awaiting approval",
    "deadline passed",
    "outdated",
    "ready",
]


def overdue(report: ReleaseReport, waited: float) -> bool:
    """Whether the time in which somebody may approve is over."""
    return report.approval == "person" and waited > report.approval_deadline


def check_approval(report: ReleaseReport, standing: Approval | None, waited: float) -> None:
    """Hold a person's approval or rejection against what stands.

    Raises:
        RunConflict: `approval-not-asked`, `release-refused`, `approval-twice` or `approval-late`.
    """
    name = _name(report)
    if report.approval != "person":
        raise RunConflict(
            f"{name} asks nobody for approval (its recipe says approval: none)",
            fix=_promote(report),
            code="approval-not-asked",
        )
    if not report.passed:
        raise _checks_failed(report)
    if standing is not None:
        raise RunConflict(
            f"{name} has the word {standing.decision!r} of {standing.by} already, and takes no second one",
            fix="propose the model anew if that was wrong",
            code="approval-late" if standing.by == AT_DEADLINE else "approval-twice",
        )
    if overdue(report, waited):
        raise _late(report, waited)


def check_promotion(
    report: ReleaseReport,
    approval: Approval | None,
    waited: float,
    report_sha256: str,
    history: Sequence[Champion],
) -> None:
    """Hold a promotion against the checks, the approval, its deadline and the champion that stands.

    Args:
        report: of the release.
        approval: what stands of it.
        waited: see the module.
        report_sha256: of the report as it is stored: what an approval must name.
        history: all pointers, oldest first; empty before the first release.

    Raises:
        RunConflict: `release-refused`, `release-rejected`, `approval-missing`, `approval-late`,
            `approval-changed`, `release-left` (it was the champion before) or `release-outdated` (its model
            was compared with another champion).
    """
    if not report.passed:
        raise _checks_failed(report)
    _check_approved(report, approval, waited, report_sha256)
    champion = history[-1] if history else None
    if champion and champion.release != report.release and released(history, report.release):
        raise RunConflict(
            f"{_name(report)} was the champion before, and release {champion.release} is now",
            fix=f"run fedcart release rollback {report.recipe} --to {report.release} to return to it",
            code="release-left",
        )
    if (champion.model_sha256 if champion else None) != report.champion_model_sha256:
        compared = f"release {report.champion_release}" if report.champion_release else "no champion"
        now = f"release {champion.release} is the champion" if champion else "there is no champion"
        raise RunConflict(
            f"{_name(report)} was compared with {compared}, and now {now}",
            fix="propose the model anew",
            code="release-outdated",
        )


def rollback_target(history: Sequence[Champion], to: int | None) -> Champion:
    """The pointer whose release becomes the champion again.

    Args:
        history: all pointers, oldest first, at least one.
        to: number of a release that was the champion; by default the one before the present champion.

    Raises:
        RunConflict: `rollback-nothing`: there is none before it, or it is the champion already.
        InputError: `rollback-unknown`: `to` never was the champion.
    """
    champion = history[-1]
    if to is None:
        below = standing_releases(history)[:-1]
        if not below:
            raise RunConflict(
                f"Release {champion.release} of {champion.recipe} is the first champion, with none before it",
                fix="promote another release, or name one with --to",
                code="rollback-nothing",
            )
        return below[-1]
    if champion.release == to:
        raise RunConflict(
            f"Release {to} of {champion.recipe} is the champion already",
            fix="name another release",
            code="rollback-nothing",
        )
    target = released(history, to)
    if target is None:
        known = ", ".join(str(number) for number in sorted({pointer.release for pointer in history}))
        raise InputError(
            f"Release {to} of {champion.recipe} never was the champion (these were: {known})",
            fix=f"name one of them, or see fedcart release list {champion.recipe}",
            code="rollback-unknown",
        )
    return target


def standing_of(
    report: ReleaseReport, approval: Approval | None, waited: float, history: Sequence[Champion]
) -> Standing:
    """Where a release stands, in a word or two; the same rules as `check_promotion`."""
    champion = history[-1] if history else None
    if champion and champion.release == report.release:
        return "champion"
    if released(history, report.release):
        return "champion before"
    if not report.passed:
        return "checks failed"
    if report.approval == "person":
        if approval and approval.decision == "reject":
            return "deadline passed" if approval.by == AT_DEADLINE else "rejected"
        if overdue(report, waited):
            return "deadline passed"
    if (champion.model_sha256 if champion else None) != report.champion_model_sha256:
        return "outdated"
    return "awaiting approval" if report.approval == "person" and approval is None else "ready"


def _check_approved(
    report: ReleaseReport, approval: Approval | None, waited: float, report_sha256: str
) -> None:
    if report.approval != "person":
        return
    if approval is not None and approval.decision == "reject":
        raise RunConflict(
            f"{_name(report)} was rejected by {approval.by}",
            fix="propose the model anew if that was wrong",
            code="approval-late" if approval.by == AT_DEADLINE else "release-rejected",
        )
    if overdue(report, waited):
        raise _late(report, waited)
    if approval is None:
        left = counted(round(report.approval_deadline - waited), "second")
        raise RunConflict(
            f"{_name(report)} waits for a person's approval, for another {left}",
            fix=f"run fedcart release approve {report.recipe} {report.release}",
            code="approval-missing",
        )
    if approval.report_sha256 != report_sha256:
        raise RunConflict(
            f"The approval of {_name(report)} by {approval.by} is of another report than the one that stands",
            fix="propose the model anew",
            code="approval-changed",
        )


def decisive_check(report: ReleaseReport) -> ReleaseCheck:
    """Of a report that did not pass: the failed check that no bound of the recipe lets pass, or the first."""
    failed = [check for check in report.checks if check.verdict == "failed"]
    return next((check for check in failed if check.name in ("withdrawn", "lineage")), failed[0])


def failed_checks(report: ReleaseReport) -> str:
    """`failed a check: parties`, of a report that did not pass."""
    failed = report.failed
    what = "a check" if len(failed) == 1 else f"{len(failed)} checks"
    return f"failed {what}: {', '.join(failed)}"


def _checks_failed(report: ReleaseReport) -> RunConflict:
    return RunConflict(
        f"{_name(report)} {failed_checks(report)}",
        fix=f"see fedcart release show {report.recipe} {report.release}",
        code="release-refused",
    )


def _late(report: ReleaseReport, waited: float) -> RunConflict:
    return RunConflict(
        f"{_name(report)} was to be approved within {report.approval_deadline:g} s of its report, "
        f"and {waited:g} s went by",
        fix="propose the model anew",
        code="approval-late",
    )


def _promote(report: ReleaseReport) -> str:
    return f"run fedcart release promote {report.recipe} {report.release}"


def _name(report: ReleaseReport) -> str:
    return f"Release {report.release} of {report.recipe}"
