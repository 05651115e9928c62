"""What a party tells when rows were withdrawn or it leaves, and which models that touches. Without I/O.

    parties/PARTY/withdrawals/RECIPE/0001.json             create-only, signed   the notice
    parties/PARTY/withdrawals/RECIPE/list/NAME             create-only           its list has this withdrawal
    coordinator/withdrawals/RECIPE/PARTY/0001.json         create-only           its bytes, once found valid
    coordinator/releases/RECIPE/0002/withdrawn-PARTY-0001.json   create-only, signed   the mark of a release

A notice names receipts. It holds no row, no hash of one, and how many they are only where the party's policy
says so; what names them is made under the party's own key.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from fedmodels.errors import UpdateRefused
from fedmodels.identifiers import ID_PATTERN, Identifier
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import AcceptedUpdate, Count, Message, Sha256, Signed

NOTICE_LIMIT = 4 * 1024 * 1024
"""Bytes above which an object is no notice; 50,000 receipts are fewer."""
MOST_NAMED = 12
WITHDRAWAL_REASON = "withdrawal: "
"""Begins the reason of a retraining without what was withdrawn."""
Number = Annotated[int, Field(ge=1)]
_PLACE = re.compile(rf"({ID_PATTERN[1:-1]})/([0-9]{{4,9}})\.json")


class ConcernedReceipt(Message):
    """A receipt of the party's whose update learned from what is withdrawn."""

    run: Identifier
    round: Number
    """Of the receipt; its update may count in a later one."""


class WithdrawalNotice(Message):
    """The payload that a party signs: which of its updates must have no part in a model any more."""

    party: Identifier
    recipe: Identifier
    number: Number
    """The party's notices of the recipe, counted."""
    leaves: bool
    """Whether the party leaves: every receipt of it is concerned, and it gives no more."""
    withdrawal: Sha256
    """Names the rows, under the party's own key: the same rows make one notice."""
    receipts: tuple[ConcernedReceipt, ...]
    rows: Annotated[Count | None, Field(exclude_if=lambda rows: rows is None)] = None

    @property
    def places(self) -> frozenset[tuple[str, int]]:
        """Run and round of the receipts."""
        return frozenset((each.run, each.round) for each in self.receipts)


class WithdrawnMark(Message):
    """The payload of `withdrawn-PARTY-N.json` beside a lineage record, signed by the coordinator."""

    recipe: Identifier
    release: Number
    run: Identifier
    """Of the release, or from whose model its run began."""
    party: Identifier
    number: Number
    """Of the notice."""
    notice_sha256: Sha256
    leaves: bool
    from_round: Number
    """The first round of that run whose model learned from it."""

    def in_words(self) -> str:
        """As `Touch.in_words`."""
        return _in_words(self.party, self.run, self.from_round, leaves=self.leaves)


@dataclass(frozen=True)
class CountedRound:
    """What a closed round of a run made of updates."""

    round: int
    passed: bool
    accepted: Sequence[AcceptedUpdate]


@dataclass(frozen=True)
class Touch:
    """A notice that concerns a run, and the first round whose model learned from what it withdraws."""

    notice: WithdrawalNotice
    run: str
    round: int

    def in_words(self) -> str:
        """A clause: `learned, from round 2 of reviews-1 on, from rows that shop-a withdrew`."""
        return _in_words(self.notice.party, self.run, self.round, leaves=self.notice.leaves)

    def mark(self, recipe: str, release: int) -> WithdrawnMark:
        """What is put beside a release."""
        return WithdrawnMark(
            recipe=recipe,
            release=release,
            run=self.run,
            party=self.notice.party,
            number=self.notice.number,
            notice_sha256=notice_hash(self.notice),
            leaves=self.notice.leaves,
            from_round=self.round,
        )


def notice_hash(notice: WithdrawalNotice) -> str:
    """SHA-256 of what the party signed."""
    return sha256_hex(canonical_json(notice))


def first_touched(notice: WithdrawalNotice, run: str, rounds: Iterable[CountedRound]) -> int | None:
    """The first passed round of a run in which an update counts that the notice names; `None`: none does.

    The model of that round has learned from it, and so has every later one. What a refused round averaged
    has gone. An update that was late counts by the round of its receipt.
    """
    named = notice.places
    touched = (
        each.round
        for each in rounds
        if each.passed
        for update in each.accepted
        if update.party == notice.party and (run, update.round or each.round) in named
    )
    return min(touched, default=None)


def last_untouched(rounds: Iterable[CountedRound], touched: Iterable[int]) -> int | None:
    """The last passed round before any that is touched; `None` when there is none."""
    first = min(touched, default=None)
    before = (each.round for each in rounds if each.passed and (first is None or each.round < first))
    return max(before, default=None)


def told_before(
    standing: Sequence[WithdrawalNotice],
    *,
    leaves: bool,
    withdrawal: str,
    receipts: frozenset[tuple[str, int]],
) -> WithdrawalNotice | None:
    """The notice that says this already, if one does: the same rows, and no receipt that none names.

    A training that was under way when rows were withdrawn may add a receipt: then there is something to say.
    """
    ours = [each for each in standing if (each.leaves, each.withdrawal) == (leaves, withdrawal)]
    named = frozenset(place for each in ours for place in each.places)
    return ours[-1] if ours and receipts <= named else None


def notice_place(name: str) -> tuple[str, int] | None:
    """Recipe and number of a notice by its name below its party's prefix; `None` of any other object."""
    found = _PLACE.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def open_withdrawal(
    envelope: bytes,
    party: str,
    place: tuple[str, int],
    verify: Callable[[WithdrawalNotice, bytes, str], bool],
) -> WithdrawalNotice:
    """The notice in an envelope, if the party signed it and it lies where it belongs.

    Args:
        envelope: the object as stored: a `Signed` message.
        party: below whose prefix it lies.
        place: recipe and number, as its key states them.
        verify: checks the payload's signature against the party's keys that are known: the coordinator's own
            note of it, and the plans of the runs that the notice names.

    Raises:
        UpdateRefused: `withdrawal-invalid`; nothing of its content is repeated.
    """
    try:
        signed = Signed.model_validate_json(envelope) if len(envelope) <= NOTICE_LIMIT else None
        payload = signed.payload.encode() if signed else b""
        notice = WithdrawalNotice.model_validate_json(payload)
    except ValidationError:
        raise _refused(party, "is none of this version of fedcart") from None
    if signed is None or not verify(notice, payload, signed.signature):
        raise _refused(party, "is not signed with a key of the party that the coordinator knows")
    if (notice.party, notice.recipe, notice.number) != (party, *place):
        raise _refused(party, "is of another party or recipe, or lies elsewhere")
    return notice


def reason_of(notices: Sequence[WithdrawalNotice]) -> str:
    """Why a retraining begins, for people: `shop-a withdrew rows, shop-b left`."""
    left = {each.party for each in notices if each.leaves}
    told = [f"{party} {'left' if party in left else 'withdrew rows'}" for party in _parties(notices)]
    more = f" … and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return f"{WITHDRAWAL_REASON}{', '.join(told[:MOST_NAMED])}{more}"


def leaving(notices: Iterable[WithdrawalNotice]) -> frozenset[str]:
    """Parties that left."""
    return frozenset(each.party for each in notices if each.leaves)


def all_in_words(touches: "Sequence[Touch | WithdrawnMark]") -> str:
    """What each of them says, once, as one clause: the model, or the champion, is its subject."""
    return "; it ".join(dict.fromkeys(touch.in_words() for touch in touches))


def _in_words(party: str, run: str, number: int, *, leaves: bool) -> str:
    what = f"{party}, which left" if leaves else f"rows that {party} withdrew"
    return f"learned, from round {number} of {run} on, from {what}"


def _parties(notices: Iterable[WithdrawalNotice]) -> list[str]:
    return sorted({each.party for each in notices})


def _refused(party: str, what: str) -> UpdateRefused:
    return UpdateRefused(
        f"A notice of withdrawal below the prefix of {party} {what}", code="withdrawal-invalid"
    )
