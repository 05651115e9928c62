"""Asking for a release: take a number, leave the report of its checks. No Prefect, no model."""

from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.releases import ReleaseReport, ReleaseRequest
from infra.layout import release_key
from infra.object_store import ObjectStore
from tasks.exchange import create_message
from tasks.release.reading import read_champion, read_release, read_request, release_numbers


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
        if _asks_the_same(request, wanted) and is_open(store, request):
            return request
    while True:
        standing = create_message(store, release_key(recipe, wanted.release, "request"), wanted)
        if standing == wanted or (_asks_the_same(standing, wanted) and is_open(store, standing)):
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


def _asks_the_same(standing: ReleaseRequest, wanted: ReleaseRequest) -> bool:
    """Whether the same checks decide two requests: one model of one run, against one champion."""
    told, asked = (
        (request.run, request.model_sha256, request.champion_model_sha256) for request in (standing, wanted)
    )
    return told == asked


def is_open(store: ObjectStore, request: ReleaseRequest) -> bool:
    """Whether the release may still be promoted: nothing and nobody has refused it."""
    standing = read_release(store, request.recipe, request.release).standing
    return standing in ("no report yet", "awaiting approval", "ready")
