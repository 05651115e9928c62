"""Who may approve and what may be promoted, each refusal with its code; and what a rollback returns to."""

import pytest

from fedmodels.errors import FedcartError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.releases import (
    AT_DEADLINE,
    Approval,
    Champion,
    ReleaseCheck,
    ReleaseReport,
    next_champion,
    returned_champion,
    standing_releases,
)
from fedmodels.protocol.releasing import (
    check_approval,
    check_promotion,
    decisive_check,
    overdue,
    rollback_target,
    standing_of,
)


def model(release: int) -> str:
    return f"{release:064x}"


def report_of(release=2, against=1, verdict="passed", approval="person", deadline=100.0) -> ReleaseReport:
    check = ReleaseCheck(name="size", value=1.0, bound=2.0, verdict=verdict, sentence="Said so.")
    return ReleaseReport(
        recipe="reviews",
        release=release,
        request_sha256="0" * 64,
        run=f"run-{release}",
        model_sha256=model(release),
        champion_release=against,
        champion_model_sha256=model(against) if against else None,
        checks=(check, check.model_copy(update={"name": "holdout", "verdict": "reported"})),
        validation=None,
        approval=approval,
        approval_deadline=deadline,
    )


def hash_of(message) -> str:
    return sha256_hex(canonical_json(message))


def word(decision="approve", by="ann", report=None) -> Approval:
    report = report or report_of()
    return Approval(
        recipe="reviews",
        release=report.release,
        report_sha256=hash_of(report),
        decision=decision,
        by=by,
    )


def history_of(*moves: int) -> list[Champion]:
    """Promotions of these releases; a negative number rolls back to that release."""
    history: list[Champion] = []
    for move in moves:
        last = history[-1] if history else None
        if move > 0:
            report = report_of(move)
            pointer = next_champion(report, hash_of(report), last, hash_of(last) if last else None, "ann")
        else:
            target = next(p for p in history if p.release == -move)
            pointer = returned_champion(target, last, hash_of(last), "ann", "")
        history.append(pointer)
    return history


def code_of(call, *arguments):
    try:
        call(*arguments)
    except FedcartError as error:
        return error.code
    return None


def promoting(report=None, approval=None, waited=0.0, history=None):
    report = report or report_of()
    history = history_of(1) if history is None else history
    return code_of(check_promotion, report, approval, waited, hash_of(report), history)


def test_an_approved_release_is_promoted_at_any_later_time():
    assert promoting(approval=word(), waited=100.0) is None


@pytest.mark.parametrize(
    ("report", "approval", "waited", "history", "code"),
    [
        (report_of(verdict="failed"), word(), 0.0, None, "release-refused"),
        (None, None, 0.0, None, "approval-missing"),
        (None, None, 100.5, None, "approval-late"),
        (None, word(), 100.5, None, "approval-late"),
        (None, word("reject"), 0.0, None, "release-rejected"),
        (None, word("reject", AT_DEADLINE), 200.0, None, "approval-late"),
        (None, word(report=report_of(deadline=5.0)), 0.0, None, "approval-changed"),
        (None, word(), 0.0, [], "release-outdated"),
        (None, word(), 0.0, history_of(1, 3), "release-outdated"),
        (None, word(), 0.0, history_of(1, 2, 3), "release-left"),
        (None, word(), 0.0, history_of(1, 2, -1), "release-left"),
    ],
)
def test_why_a_release_is_not_promoted(report, approval, waited, history, code):
    assert promoting(report, approval, waited, history) == code


def test_without_an_approval_asked_for_the_deadline_means_nothing():
    report = report_of(approval="none")
    assert promoting(report, waited=1e9) is None
    assert not overdue(report, 1e9)


def test_the_first_release_is_promoted_where_there_is_no_champion_and_nowhere_else():
    first = report_of(1, against=None, approval="none")
    assert promoting(first, history=[]) is None
    assert promoting(report_of(2, against=None, approval="none"), history=history_of(1)) == "release-outdated"


def test_the_same_model_as_champion_again_keeps_a_comparison_valid():
    # Release 3 was compared with 1; 2 became the champion and was rolled back to 1.
    report = report_of(3, against=1, approval="none")
    assert promoting(report, history=history_of(1, 2)) == "release-outdated"
    assert promoting(report, history=history_of(1, 2, -1)) is None


@pytest.mark.parametrize(
    ("report", "standing", "waited", "code"),
    [
        (report_of(), None, 100.0, None),
        (report_of(), None, 100.5, "approval-late"),
        (report_of(), word(), 0.0, "approval-twice"),
        (report_of(), word("reject"), 0.0, "approval-twice"),
        (report_of(), word("reject", AT_DEADLINE), 0.0, "approval-late"),
        (report_of(approval="none"), None, 0.0, "approval-not-asked"),
        (report_of(verdict="failed"), None, 0.0, "release-refused"),
    ],
)
def test_who_may_approve(report, standing, waited, code):
    assert code_of(check_approval, report, standing, waited) == code


def test_a_refusal_is_one_sentence_with_value_bound_and_next_step():
    with pytest.raises(FedcartError) as caught:
        check_approval(report_of(), None, 130.0)
    assert str(caught.value) == (
        "Release 2 of reviews was to be approved within 100 s of its report, and 130 s went by; "
        "propose the model anew."
    )
    report = report_of(verdict="failed")
    with pytest.raises(FedcartError) as caught:
        check_promotion(report, None, 0.0, hash_of(report), [])
    assert str(caught.value) == (
        "Release 2 of reviews failed a check: size; see fedcart release show reviews 2."
    )


@pytest.mark.parametrize(
    ("moves", "to", "release"),
    [
        ((1, 2), None, 1),
        ((1, 2, 3), None, 2),
        ((1, 2, 3, -2), None, 1),  # a second rollback goes further back, not forth again
        ((1, 2, -1, 3), None, 1),
        ((1, 2, 3), 1, 1),
        ((1, 2, -1), 2, 2),
        ((1, 2, -1, -2), None, 1),
    ],
)
def test_what_a_rollback_returns_to(moves, to, release):
    assert rollback_target(history_of(*moves), to).release == release


@pytest.mark.parametrize(
    ("moves", "to", "code"),
    [
        ((1,), None, "rollback-nothing"),
        ((1, 2, -1), None, "rollback-nothing"),
        ((1, 2), 2, "rollback-nothing"),
        ((1, 2), 7, "rollback-unknown"),
    ],
)
def test_when_there_is_nothing_to_return_to(moves, to, code):
    assert code_of(rollback_target, history_of(*moves), to) == code


def test_pointers_are_a_chain_and_a_stack():
    history = history_of(1, 2, 3, -1, 4)
    assert [pointer.sequence for pointer in history] == [1, 2, 3, 4, 5]
    assert [p.previous_sha256 for p in history] == [None, *map(hash_of, history[:-1])]
    assert [pointer.action for pointer in history].count("rollback") == 1
    assert [pointer.release for pointer in standing_releases(history)] == [1, 4]


@pytest.mark.parametrize(
    ("report", "approval", "waited", "history", "standing"),
    [
        (report_of(), None, 0.0, history_of(1), "awaiting approval"),
        (report_of(), None, 101.0, history_of(1), "deadline passed"),
        (report_of(), word("reject", AT_DEADLINE), 101.0, history_of(1), "deadline passed"),
        (report_of(), word("reject"), 5.0, history_of(1), "rejected"),
        (report_of(), word(), 5.0, history_of(1), "ready"),
        (report_of(approval="none"), None, 1e9, history_of(1), "ready"),
        (report_of(), word(), 5.0, history_of(1, 2), "champion"),
        (report_of(), word(), 5.0, history_of(1, 2, 3), "champion before"),
        (report_of(), word(), 5.0, history_of(1, 3), "outdated"),
        (report_of(verdict="failed"), None, 5.0, history_of(1), "checks failed"),
    ],
)
def test_where_a_release_stands(report, approval, waited, history, standing):
    assert standing_of(report, approval, waited, history) == standing


def test_a_report_passes_when_nothing_failed():
    assert report_of().passed
    assert report_of(verdict="not-checked").passed
    assert report_of(verdict="failed").failed == ("size",)


def test_of_failed_checks_the_one_that_no_bound_lets_pass_is_told():
    report = report_of(verdict="failed")
    assert decisive_check(report).name == "size"
    withdrawn = report.checks[0].model_copy(update={"name": "withdrawn"})
    assert decisive_check(report.model_copy(update={"checks": (*report.checks, withdrawn)})) == withdrawn
    passed = withdrawn.model_copy(update={"verdict": "passed"})
    assert decisive_check(report.model_copy(update={"checks": (*report.checks, passed)})).name == "size"
