"""Notices of withdrawal at the coordinator, and the releases that they touch. No Prefect.

A notice that is found valid marks the releases that stand, and is then copied below the coordinator's own
prefix, where its party cannot take it back. From then on whatever proposes, promotes or returns to a release
holds its run against the copies, so that a mark that was lost, or a release that came later, changes nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from fedmodels.errors import InputError, IntegrityError, RunConflict, UpdateRefused
from fedmodels.identifiers import ID_PATTERN
from fedmodels.protocol.lineage import Lineage
from fedmodels.protocol.messages import Head, Plan, Signed, StartingModel
from fedmodels.protocol.releases import ReleaseReport
from fedmodels.protocol.withdrawal import (
    NOTICE_LIMIT,
    CountedRound,
    Touch,
    WithdrawalNotice,
    WithdrawnMark,
    first_touched,
    notice_place,
    open_withdrawal,
)
from infra.keys import PrivateKey, verify
from infra.layout import (
    head_key,
    known_withdrawal_key,
    known_withdrawals_prefix,
    own_withdrawals_prefix,
    parties_prefix,
    plan_key,
    release_key,
)
from infra.object_store import ObjectStore
from tasks.exchange import create_signed, parse, read_bytes_from_party, read_message
from tasks.reading import read_records
from tasks.release.lineage import note_spoilt, pinned_decision
from tasks.release.marks import mark_key
from tasks.release.reading import read_request, release_numbers

MOST_NEW = 20
"""New notices of a party that one look judges: a party that floods the bucket holds up its own alone."""


@dataclass(frozen=True)
class Heard:
    """What a look at the parties' prefixes found that was not known."""

    notices: tuple[WithdrawalNotice, ...] = ()
    refused: tuple[UpdateRefused, ...] = ()
    damaged: tuple[IntegrityError | InputError, ...] = ()
    """Why a release could not be marked; nothing moves the champion to it all the same."""


def hear_withdrawals(store: ObjectStore, key: PrivateKey, party_keys: Mapping[str, str]) -> Heard:
    """Judge every notice that is new; mark what a valid one touches, then keep a copy of it.

    Whoever dies before the copy is followed by somebody who marks the same releases again, which is harmless.

    Args:
        store: the bucket with the coordinator's credentials.
        key: the coordinator's, which signs marks.
        party_keys: party id to public key, base64.

    """
    heard: list[WithdrawalNotice] = []
    damaged: list[IntegrityError | InputError] = []
    refused: list[UpdateRefused] = []
    for party in sorted({*store.list_folders(parties_prefix()), *party_keys}):
        for place, envelope in islice(_new(store, party), MOST_NEW):
            try:
                notice = open_withdrawal(
                    envelope, party, place, _Verifier(store, party, party_keys.get(party))
                )
            except UpdateRefused as error:
                refused.append(error)
                continue
            for release in release_numbers(store, notice.recipe):
                try:
                    mark_release(store, key, notice.recipe, release, (notice,))
                except (IntegrityError, InputError) as error:
                    # One run or request that is damaged or gone holds up nobody's right.
                    damaged.append(error)
            store.create(known_withdrawal_key(party, *place), envelope)
            heard.append(notice)
    return Heard(tuple(heard), tuple(refused), tuple(damaged))


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
            f"The model of release {release} of {recipe} {touches[0].in_words()}",
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


def _new(store: ObjectStore, party: str) -> Iterator[tuple[tuple[str, int], bytes]]:
    """Place and bytes of a party's notices of which there is no copy yet."""
    if not re.fullmatch(ID_PATTERN, party):
        return
    known: dict[str, frozenset[str]] = {}
    for key in store.list_keys(own_withdrawals_prefix(party)):
        place = notice_place(key.removeprefix(own_withdrawals_prefix(party)))
        if place is None:
            continue
        recipe = place[0]
        if recipe not in known:
            known[recipe] = frozenset(store.list_keys(f"{known_withdrawals_prefix(recipe)}{party}/"))
        if known_withdrawal_key(party, *place) not in known[recipe]:
            envelope = read_bytes_from_party(store, key, NOTICE_LIMIT)
            if envelope is not None:
                yield place, envelope


class _Verifier:
    """Checks a signature with the key that the coordinator has of a party, and those of the runs' plans."""

    def __init__(self, store: ObjectStore, party: str, public: str | None) -> None:
        self._store, self._party, self._public = store, party, public

    def __call__(self, notice: WithdrawalNotice, payload: bytes, signature: str) -> bool:
        return any(verify(public, payload, signature) for public in self._keys(notice))

    def _keys(self, notice: WithdrawalNotice) -> Iterable[str]:
        if self._public is not None:
            yield self._public
        for run in sorted({each.run for each in notice.receipts}):
            with suppress(IntegrityError):  # any run may be named, and one that is damaged tells no key
                plan = read_message(self._store, plan_key(run), Plan)
                if plan is not None and self._party in plan.parties:
                    yield plan.parties[self._party]
