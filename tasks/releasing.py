"""Releasing: take a number, leave a report, hear a person, move the champion. No Prefect, no model.

A report decides nothing by itself: `promote` holds it against the champion that stands then, and the
approval against its deadline, whoever calls.
"""

from collections.abc import Callable

from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.releases import (
    AT_DEADLINE,
    LONGEST_NAME,
    LONGEST_WORDS,
    Approval,
    Champion,
    ReleaseReport,
    ReleaseRequest,
    next_champion,
    returned_champion,
)
from fedmodels.protocol.releasing import check_approval, check_promotion, overdue, rollback_target
from infra.layout import champion_key, model_key, past_champion_key, release_key
from infra.object_store import ObjectStore
from tasks.exchange import create_message, parse
from tasks.release_reading import (
    StandingReport,
    find_report,
    read_champion,
    read_history,
    read_release,
    read_report,
    read_request,
    release_numbers,
)


def open_release(
    store: ObjectStore,
    recipe: str,
    ticket: str,
    *,
    run: str,
    round_number: int,
    model_sha256: str,
    reason: str = "",
) -> ReleaseRequest:
    """Take the next number for a model, or find a release that asks the same already.

    That is the one that this ticket began before; where the model is the champion, the one by which it became
    that; or one of the same run against the same champion that is still open, whoever began it.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        ticket: id of whoever asks, the same when it is started again.
        run: the run that kept the model.
        round_number: the round in which it passed the gate.
        model_sha256: the model.
        reason: why it was trained, for people.
    """
    numbers = release_numbers(store, recipe)
    begun = [read_request(store, recipe, number) for number in reversed(numbers)]
    for request in begun:
        if request.ticket == ticket and request.model_sha256 == model_sha256:
            return request
    champion = read_champion(store, recipe)
    if champion and champion.model_sha256 == model_sha256:
        return read_request(store, recipe, champion.release)
    wanted = ReleaseRequest(
        recipe=recipe,
        release=numbers[-1] + 1 if numbers else 1,
        ticket=ticket,
        run=run,
        round=round_number,
        model_sha256=model_sha256,
        champion_release=champion.release if champion else None,
        champion_run=champion.run if champion else None,
        champion_model_sha256=champion.model_sha256 if champion else None,
        reason=reason,
    )
    for request in begun:
        if _asks_the_same(request, wanted) and _is_open(store, request):
            return request
    while True:
        standing = create_message(store, release_key(recipe, wanted.release, "request"), wanted)
        if standing == wanted or (_asks_the_same(standing, wanted) and _is_open(store, standing)):
            return standing
        wanted = wanted.model_copy(update={"release": wanted.release + 1})  # somebody else took it


def propose(store: ObjectStore, report: ReleaseReport) -> ReleaseReport:
    """Leave the report of a release that was opened; return the one that stands, ours or an earlier one.

    Raises:
        InputError: there is no such release.
        IntegrityError: `report-misplaced`: the report is of another request than the one that stands.
    """
    request = read_request(store, report.recipe, report.release)
    told = (report.request_sha256, report.run, report.model_sha256, report.champion_model_sha256)
    asked = (
        sha256_hex(canonical_json(request)),
        request.run,
        request.model_sha256,
        request.champion_model_sha256,
    )
    if told != asked:
        raise IntegrityError(
            f"The report is not of the request of release {report.release} of {report.recipe}",
            fix="open a release of its own for it",
            code="report-misplaced",
        )
    return create_message(store, release_key(report.recipe, report.release, "report"), report)


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


def promote(store: ObjectStore, recipe: str, release: int, by: str) -> Champion:
    """Make a release the champion; harmless when it is, or when another release of its model is.

    Raises:
        InputError: there is no such release, or no report of it.
        IntegrityError: its model is not in the bucket, or a champion before it was changed.
        RunConflict: as `check_promotion`; or `promotion-lost`: another pointer came first.
    """
    found = read_report(store, recipe, release)
    standing, version = store.read_version(champion_key(recipe)) or (None, "")
    history = read_history(store, recipe, standing) if standing is not None else []
    if history and (history[-1].release == release or history[-1].model_sha256 == found.report.model_sha256):
        return history[-1]
    check_promotion(found.report, found.approval, found.waited, found.sha256, history)
    _check_model(store, found.report.model_sha256, release)
    pointer = next_champion(
        found.report,
        found.sha256,
        history[-1] if history else None,
        sha256_hex(standing) if standing is not None else None,
        by,
    )
    return _move(store, pointer, version)


def rollback(
    store: ObjectStore, recipe: str, by: str, *, to: int | None = None, reason: str = ""
) -> Champion:
    """Return to the champion before the present one, or to any release that once was the champion.

    Raises:
        InputError: there is no champion, or `to` never was one.
        RunConflict: `rollback-nothing`: there is nothing to return to; `promotion-lost`.
        IntegrityError: its model is not in the bucket, or a champion before it was changed.
    """
    standing, version = store.read_version(champion_key(recipe)) or (None, "")
    if standing is None:
        raise RunConflict(
            f"The recipe {recipe} has no champion, so that there is none to leave",
            fix="see fedcart release list",
            code="rollback-nothing",
        )
    history = read_history(store, recipe, standing)
    target = rollback_target(history, to)
    _check_model(store, target.model_sha256, target.release)
    return _move(store, returned_champion(target, history[-1], sha256_hex(standing), by, reason), version)


def _move(store: ObjectStore, pointer: Champion, version: str) -> Champion:
    """Keep the new pointer by its hash, then swap it in. What lost a race stays there, named by nothing."""
    key, data = champion_key(pointer.recipe), canonical_json(pointer)
    store.create(past_champion_key(pointer.recipe, sha256_hex(data)), data)
    won = store.swap(key, data, version) if version else store.create(key, data) == data
    if won:
        return pointer
    now = parse(Champion, store.read(key) or b"", key)
    raise RunConflict(
        f"Release {pointer.release} of {pointer.recipe} did not become the champion: "
        f"release {now.release} did at the same moment",
        fix="see fedcart release list, then roll back from that one"
        if pointer.action == "rollback"
        else "propose the model anew, to be compared with that one",
        code="promotion-lost",
    )


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


def _check_model(store: ObjectStore, sha256: str, release: int) -> None:
    if not store.exists(model_key(sha256)):
        raise IntegrityError(
            f"The model {sha256[:12]} of release {release} is not in the bucket",
            fix="restore it from a backup",
            code="model-missing",
        )


def _asks_the_same(standing: ReleaseRequest, wanted: ReleaseRequest) -> bool:
    """Whether the same checks decide two requests: one model of one run, against one champion."""
    told, asked = (
        (request.run, request.model_sha256, request.champion_model_sha256) for request in (standing, wanted)
    )
    return told == asked


def _is_open(store: ObjectStore, request: ReleaseRequest) -> bool:
    """Whether the release may still be promoted: nothing and nobody has refused it."""
    standing = read_release(store, request.recipe, request.release).standing
    return standing in ("no report yet", "awaiting approval", "ready")


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
