"""Notices of withdrawal as the coordinator hears them: judged, marked for, copied; copies mended. No Prefect.

A copy is made once all releases that stand were looked at, whatever could not be marked: that is marked
later, by the copies. A copy that is damaged is put again from its party's own notice, as long as that is
signed and is the one that releases were marked for.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from fedmodels.errors import FedcartError, InputError, IntegrityError, UpdateRefused
from fedmodels.identifiers import ID_PATTERN
from fedmodels.protocol.messages import Plan, Signed
from fedmodels.protocol.withdrawal import (
    NOTICE_LIMIT,
    WithdrawalNotice,
    WithdrawnMark,
    notice_hash,
    notice_place,
    open_withdrawal,
)
from infra.keys import PrivateKey, verify
from infra.layout import (
    all_known_withdrawals_prefix,
    known_withdrawal_key,
    known_withdrawals_prefix,
    own_withdrawals_prefix,
    parties_prefix,
    plan_key,
)
from infra.object_store import ObjectStore
from tasks.exchange import parse, read_bytes_from_party, read_message
from tasks.release.marks import read_marks
from tasks.release.reading import release_numbers
from tasks.release.withdrawn import known_notices, mark_release

Damage = IntegrityError | InputError
MOST_NEW = 20
"""New notices of a party that one look judges: a party that floods the bucket holds up its own alone."""


@dataclass(frozen=True)
class Heard:
    """What a look at the parties' prefixes found that was not known."""

    notices: tuple[WithdrawalNotice, ...] = ()
    refused: tuple[UpdateRefused, ...] = ()
    damaged: tuple[Damage, ...] = ()
    """Why a release could not be marked, or a copy not be mended; nothing moves the champion to it all the
    same."""
    restored: tuple[WithdrawalNotice, ...] = ()
    """Notices whose copies were damaged, and were put again."""

    @property
    def faults(self) -> tuple[FedcartError, ...]:
        """What whoever heard has to be told of."""
        return (*self.refused, *self.damaged)


def hear_withdrawals(store: ObjectStore, key: PrivateKey, party_keys: Mapping[str, str]) -> Heard:
    """Judge every notice that is new; mark what a valid one touches, then keep a copy of it.

    Whoever dies before the copy is followed by somebody who marks the same releases again, which is harmless.

    Args:
        store: the bucket with the coordinator's credentials.
        key: the coordinator's, which signs marks.
        party_keys: party id to public key, base64.
    """
    heard: list[WithdrawalNotice] = []
    restored: list[WithdrawalNotice] = []
    damaged: list[Damage] = []
    refused: list[UpdateRefused] = []
    for party in sorted({*store.list_folders(parties_prefix()), *party_keys}):
        for found in islice(_new(store, party), MOST_NEW):
            try:
                verifier = _Verifier(store, party, party_keys.get(party))
                notice = open_withdrawal(found.envelope, party, found.place, verifier)
                if found.damaged is not None:
                    _check_marked_for(store, notice)
            except UpdateRefused as error:
                refused.append(error)
                continue
            except IntegrityError as error:
                damaged.append(error)
                continue
            damaged += _mark_all(store, key, notice.recipe, (notice,))
            place = known_withdrawal_key(party, *found.place)
            if found.damaged is None:
                store.create(place, found.envelope)
                heard.append(notice)
            elif store.swap(place, found.envelope, found.damaged):
                restored.append(notice)
    return Heard(tuple(heard), tuple(refused), tuple(damaged), tuple(restored))


def mark_by_copies(store: ObjectStore, key: PrivateKey) -> tuple[Damage, ...]:
    """Put every mark that is missing of a notice that was heard before; return why one cannot be.

    One could not be put where a run or request was damaged when the notice was heard, or it was lost since.

    Args:
        store: the bucket with the coordinator's credentials.
        key: the coordinator's, which signs marks.
    """
    damaged: list[Damage] = []
    for recipe in store.list_folders(all_known_withdrawals_prefix()):
        try:
            notices = known_notices(store, recipe)
        except IntegrityError as error:
            damaged.append(error)
            continue
        damaged += _mark_all(store, key, recipe, notices)
    return tuple(damaged)


def _mark_all(
    store: ObjectStore, key: PrivateKey, recipe: str, notices: tuple[WithdrawalNotice, ...]
) -> Iterator[Damage]:
    """Mark every release that the notices touch; why one could not be, which holds up nobody's right."""
    for release in release_numbers(store, recipe):
        try:
            mark_release(store, key, recipe, release, notices)
        except (IntegrityError, InputError) as error:
            yield error


@dataclass(frozen=True)
class _Found:
    """A notice below its party's prefix that is to be judged."""

    place: tuple[str, int]
    """Recipe and number, as its key states them."""
    envelope: bytes
    damaged: str | None = None
    """Version of the copy that is there and is none."""


def _new(store: ObjectStore, party: str) -> Iterator[_Found]:
    """A party's notices of which there is no copy yet, or a damaged one."""
    if not re.fullmatch(ID_PATTERN, party):
        return
    known: dict[str, frozenset[str]] = {}
    for key in store.list_keys(own_withdrawals_prefix(party)):
        place = notice_place(key.removeprefix(own_withdrawals_prefix(party)))
        if place is None:
            continue
        recipe, copy = place[0], known_withdrawal_key(party, *place)
        if recipe not in known:
            known[recipe] = frozenset(store.list_keys(f"{known_withdrawals_prefix(recipe)}{party}/"))
        damaged = _damaged_version(store, copy) if copy in known[recipe] else None
        if copy in known[recipe] and damaged is None:
            continue
        envelope = read_bytes_from_party(store, key, NOTICE_LIMIT)
        if envelope is not None:
            yield _Found(place, envelope, damaged)


def _damaged_version(store: ObjectStore, copy: str) -> str | None:
    """The version of a copy that cannot be read; `None` of one that is whole."""
    try:
        data = store.read(copy)
        if data is not None:
            parse(WithdrawalNotice, parse(Signed, data, copy).payload.encode(), copy)
    except IntegrityError:
        found = store.read_version(copy, checked=False)
        return found[1] if found else None
    return None


def _check_marked_for(store: ObjectStore, notice: WithdrawalNotice) -> None:
    """See that a party has not put another notice where the one lay that releases are marked for.

    Raises:
        IntegrityError: `message-invalid`.
    """
    marks: list[WithdrawnMark] = []
    for release in release_numbers(store, notice.recipe):
        with suppress(IntegrityError):  # a mark that is none tells nothing
            marks += read_marks(store, notice.recipe, release)
    ours = [each for each in marks if (each.party, each.number) == (notice.party, notice.number)]
    if any(each.notice_sha256 != notice_hash(notice) for each in ours):
        copy = known_withdrawal_key(notice.party, notice.recipe, notice.number)
        raise IntegrityError(
            f"The copy {copy} of a notice of withdrawal is damaged, and {notice.party} has put another "
            "notice in the place of its own",
            fix="restore the copy from a backup",
            code="message-invalid",
        )


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
