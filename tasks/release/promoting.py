"""Moving the champion, forth and back, by compare-and-swap. No Prefect, no model.

A report decides nothing by itself: `promote` holds it against the champion that stands then, and the
approval against its deadline, whoever calls.
"""

from collections.abc import Callable

from fedmodels.errors import IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.releases import Champion, next_champion, returned_champion
from fedmodels.protocol.releasing import check_promotion, rollback_target
from infra.layout import champion_key, model_key, past_champion_key, release_key
from infra.object_store import ObjectStore
from tasks.exchange import parse
from tasks.release.reading import StandingReport, read_history, read_report
from tasks.release.signing import check_unaltered
from tasks.release.withdrawn import end_withdrawn, refuse_withdrawn

Document = Callable[[StandingReport], object]


def promote(store: ObjectStore, recipe: str, release: int, by: str, document: Document) -> Champion:
    """Make a release the champion; harmless when it is, or when another release of its model is.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        release: number of the release.
        by: who says so.
        document: verifies the signature, and writes the lineage record or finds the one that stands; asked
            once nothing refuses, and for a champion that has no record.

    Raises:
        InputError: there is no such release, or no report of it.
        IntegrityError: its model is not in the bucket, its files are not what was signed, its lineage record
            is none, or a champion before it was changed.
        RunConflict: as `check_promotion`; `release-unsigned`, `release-withdrawn`; or `promotion-lost`:
            another pointer came first.
    """
    found = read_report(store, recipe, release)
    standing, version = store.read_version(champion_key(recipe)) or (None, "")
    history = read_history(store, recipe, standing) if standing is not None else []
    if history and (history[-1].release == release or history[-1].model_sha256 == found.report.model_sha256):
        _document_late(store, history[-1], document)
        return history[-1]
    if found.report.passed:  # first: nobody is to be asked for a word on it
        end_withdrawn(store, found.report)
    check_promotion(found.report, found.approval, found.waited, found.sha256, history)
    _check_model(store, found.report.model_sha256, release)
    document(found)
    pointer = next_champion(
        found.report,
        found.sha256,
        history[-1] if history else None,
        sha256_hex(standing) if standing is not None else None,
        by,
    )
    return _move(store, pointer, version)


def rollback(
    store: ObjectStore,
    recipe: str,
    by: str,
    *,
    to: int | None = None,
    reason: str = "",
    public: str | None = None,
) -> Champion:
    """Return to the champion before the present one, or to any release that once was the champion.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        by: who says so.
        to: number of the release; by default the one before.
        reason: why, for people.
        public: the coordinator's key for messages, base64, with which the lineage record is held.

    Raises:
        InputError: there is no champion, or `to` never was one.
        RunConflict: `rollback-nothing`: there is nothing to return to; `promotion-lost`; `release-unsigned`;
            `release-withdrawn`.
        IntegrityError: its model is not in the bucket, it is not what was promoted, or a champion before it
            was changed.
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
    refuse_withdrawn(store, recipe, target.release)
    _check_model(store, target.model_sha256, target.release)
    check_unaltered(store, target, public)
    return _move(store, returned_champion(target, history[-1], sha256_hex(standing), by, reason), version)


def _document_late(store: ObjectStore, champion: Champion, document: Document) -> None:
    """Give a champion its signature and lineage record that became one before there were any."""
    if not store.exists(release_key(champion.recipe, champion.release, "lineage")):
        document(read_report(store, champion.recipe, champion.release))


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


def _check_model(store: ObjectStore, sha256: str, release: int) -> None:
    if not store.exists(model_key(sha256)):
        raise IntegrityError(
            f"The model {sha256[:12]} of release {release} is not in the bucket",
            fix="restore it from a backup",
            code="model-missing",
        )
