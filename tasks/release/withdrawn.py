"""Notices of withdrawal at the coordinator, and the releases that they touch. No Prefect.

A notice that is found valid marks the releases that stand, and is then copied below the coordinator's own
prefix, where its party cannot take it back. From then on whatever proposes, promotes or returns to a release
holds its run against the copies, so that a mark that was lost, or a release that came later, changes nothing.
"""

from collections.abc import Sequence

from fedmodels.errors import RunConflict
from fedmodels.protocol.lineage import Lineage
from fedmodels.protocol.messages import Head, Plan, Signed, StartingModel
from fedmodels.protocol.releases import ReleaseReport
from fedmodels.protocol.withdrawal import (
    CountedRound,
    Touch,
    WithdrawalNotice,
    WithdrawnMark,
    all_in_words,
    first_touched,
)
from infra.keys import PrivateKey
from infra.layout import (
    head_key,
    known_withdrawals_prefix,
    plan_key,
    release_key,
)
from infra.object_store import ObjectStore
from tasks.exchange import create_signed, parse, read_message
from tasks.reading import read_records
from tasks.release.lineage import note_spoilt, pinned_decision
from tasks.release.marks import mark_key
from tasks.release.reading import read_request


def known_notices(store: ObjectStore, recipe: str) -> tuple[WithdrawalNotice, ...]:
    """The notices of a recipe that were found valid, by party and number.

    Raises:
        IntegrityError: a copy is damaged.
    """
    found = []
    for key in store.list_keys(known_withdrawals_prefix(recipe)):
        data = store.read(key)
        if data is not None:
            found.append(parse(WithdrawalNotice, parse(Signed, data, key).payload.encode(), key))
    return tuple(found)


def touches_of(
    store: ObjectStore,
    recipe: str,
    run: str,
    last_round: int,
    notices: Sequence[WithdrawalNotice],
    release: int | None = None,
) -> tuple[Touch, ...]:
    """Which notices touch the model that a run had after a round, and from which round on.

    So does what touches the model of an earlier run from which it began.

    Args:
        store: the bucket.
        recipe: name of the recipe.
        run: id of the run.
        last_round: the round in which the model passed its gate.
        notices: that were found valid.
        release: a release of the model, whose lineage tells of the run where the run is gone.

    Raises:
        IntegrityError: a decision or record of the run is damaged or gone.
    """
    if not notices:
        return ()
    naming = [notice for notice in notices if any(each.run == run for each in notice.receipts)]
    rounds = counted_rounds(store, recipe, run, release) if naming else ()
    own = tuple(
        Touch(notice, run, first)
        for notice in naming
        if (first := _first_touched(notice, run, rounds)) is not None and first <= last_round
    )
    start = _start_of(store, recipe, run, release)
    return own if start is None else (*own, *touches_of(store, recipe, start.run, start.round, notices))


def _first_touched(notice: WithdrawalNotice, run: str, rounds: Sequence[CountedRound]) -> int | None:
    """As `first_touched`; of a run of which nothing tells any more, the first round that the notice names."""
    if rounds:
        return first_touched(notice, run, rounds)
    return min(number for named, number in notice.places if named == run)


def _start_of(store: ObjectStore, recipe: str, run: str, release: int | None) -> StartingModel | None:
    """The earlier model from which a run began, if it did."""
    plan = read_message(store, plan_key(run), Plan)
    if plan is not None:
        return plan.begins_from
    lineage = _lineage_of(store, recipe, release)
    return lineage.begins_from if lineage else None


def _lineage_of(store: ObjectStore, recipe: str, release: int | None) -> Lineage | None:
    key = release_key(recipe, release, "lineage") if release is not None else None
    data = store.read(key) if key else None
    if key is None or data is None:
        return None
    return parse(Lineage, parse(Signed, data, key).payload.encode(), key)


def counted_rounds(
    store: ObjectStore, recipe: str, run: str, release: int | None = None
) -> tuple[CountedRound, ...]:
    """What the closed rounds of a run made of updates: by its messages, or by the lineage of its release.

    None where neither is there.

    Raises:
        IntegrityError: a decision or record of the run is damaged or gone.
    """
    head = read_message(store, head_key(run), Head)
    if head is not None and store.exists(plan_key(run)):
        return tuple(
            CountedRound(
                record.round,
                record.outcome == "passed",
                pinned_decision(store, run, record.round, record.decision_sha256).accepted,
            )
            for record in read_records(store, head)
        )
    lineage = _lineage_of(store, recipe, release)
    told = lineage.rounds if lineage else ()
    return tuple(CountedRound(each.round, each.outcome == "passed", each.accepted) for each in told)


def mark_release(
    store: ObjectStore, key: PrivateKey, recipe: str, release: int, notices: Sequence[WithdrawalNotice]
) -> tuple[WithdrawnMark, ...]:
    """Put a signed mark beside a release for each notice that touches it; return those marks."""
    request = read_request(store, recipe, release)
    touches = touches_of(store, recipe, request.run, request.round, notices, release)
    marks = tuple(touch.mark(recipe, release) for touch in touches)
    for mark in marks:
        create_signed(store, mark_key(mark), mark, key)
    return marks


def refuse_withdrawn(store: ObjectStore, recipe: str, release: int) -> None:
    """Keep the champion from moving to a model that learned from what was withdrawn.

    Raises:
        RunConflict: `release-withdrawn`.
    """
    notices = known_notices(store, recipe)
    if not notices:
        return
    request = read_request(store, recipe, release)
    touches = touches_of(store, recipe, request.run, request.round, notices, release)
    if touches:
        raise RunConflict(
            f"The model of release {release} of {recipe} {all_in_words(touches)}",
            fix="release a model that never saw them: see fedcart release list, or train anew",
            code="release-withdrawn",
        )


def end_withdrawn(store: ObjectStore, report: ReleaseReport) -> None:
    """As `refuse_withdrawn`, of a release that would be promoted; and note that nothing can promote it.

    It is over with that: no look takes it up again, and no person is asked about it.

    Raises:
        RunConflict: `release-withdrawn`.
    """
    try:
        refuse_withdrawn(store, report.recipe, report.release)
    except RunConflict as error:
        note_spoilt(store, report, error)
        raise
