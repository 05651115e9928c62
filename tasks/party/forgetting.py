"""Withdrawing rows at a party, or leaving: the list first, then the receipts concerned, then a signed notice.

Each step can be taken again: whoever dies between two of them is followed by the next call, which finds what
stands. What is on the list is left out of every later training, whether or not anybody hears of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fedmodels.data.withdrawn import NOTHING, Withdrawn, keyed_name
from fedmodels.errors import RunConflict
from fedmodels.protocol.withdrawal import ConcernedReceipt, WithdrawalNotice, told_before
from infra.keys import data_hash_key
from infra.layout import withdrawal_key
from tasks.exchange import create_signed
from tasks.party.forgetting_desk import ForgettingDesk, OwnReceipt, own_receipts, unanswered_runs
from tasks.party.leaving import leave, note_leaving, noted_leaving
from tasks.party.told_withdrawals import (
    Told,
    next_number,
    own_notices,
    refuse_lost_list,
    remind_of_list,
    standing_notices,
    told_so_far,
)
from tasks.party.trained_on import Found, Report, Side, history_fault, sides_of
from tasks.party.withdrawn import (
    held_list,
    looked_for,
    withdraw,
    withdrawing_alone,
)

Place = tuple[str, int]


@dataclass(frozen=True)
class Concerned:
    """Which of a party's updates are concerned. It holds no value of a row."""

    party: str
    recipe: str
    leaves: bool
    rows: int
    """Different rows that are withdrawn."""
    trained: tuple[Place, ...]
    """Run and round of receipts whose updates learned from them."""
    scored: tuple[Place, ...]
    """Of those whose trainings only held them out: scored on, and not learned from."""
    unknown: tuple[Place, ...]
    """Of those of whose rows nothing is kept any more; they count as having learned from them."""
    sides: Mapping[str, Found] = field(default_factory=dict, repr=False)
    unread: str = ""
    """Why the history of the party's versions does not tell of `unknown`, as a clause."""

    @property
    def places(self) -> frozenset[Place]:
        """What a notice names."""
        return frozenset((*self.trained, *self.unknown))

    @property
    def rows_found(self) -> int:
        """How many of the rows stand in what is still known of the party's trainings."""
        return len({row for found in self.sides.values() for row in found.rows})

    def document(self) -> dict[str, Any]:
        """As one JSON document."""
        lists = {"trained": self.trained, "scored": self.scored, "unknown": self.unknown}
        return {
            "party": self.party,
            "recipe": self.recipe,
            "leaves": self.leaves,
            "rows": self.rows,
            "rows_found": None if self.leaves else self.rows_found,
            "unread": self.unread or None,
            **{
                name: [{"run": run, "round": number} for run, number in found]
                for name, found in lists.items()
            },
        }


@dataclass(frozen=True)
class Withdrawal:
    """What came of withdrawing. `notice` is `None` where nothing has learned from the rows."""

    concerned: Concerned
    new_rows: int
    """Rows that were not on the list before."""
    notice: WithdrawalNotice | None
    made: bool
    unanswered: tuple[str, ...] = ()
    """Runs with an open round from which the party's update may still be on its way, sent before."""


def find_concerned(
    desk: ForgettingDesk,
    texts: Iterable[str] | None,
    report: Report = lambda _done, _total: None,
    known: Concerned | None = None,
) -> Concerned:
    """Which updates are concerned; changes nothing.

    Args:
        desk: of the party.
        texts: of the rows; `None`: the party leaves.
        report: told of the progress.
        known: what an earlier call with the same rows found, which is not looked for again.

    Raises:
        FedcartError: as `sides_of`; or `withdrawn-damaged`; or the store is away.
    """
    receipts = own_receipts(desk)
    if texts is None:
        return _concerned(desk, receipts, {}, NOTHING, leaves=True)
    _require_list(desk)
    rows = looked_for(desk.workspace, texts)
    sides = sides_of(desk, receipts, rows, known.sides if known else {}, report)
    found = _concerned(desk, receipts, sides, rows, leaves=False)
    if known is not None or not found.unknown:
        return replace(found, unread=known.unread if known else "")
    fault = history_fault(desk)
    return replace(found, unread=fault.sentence if fault else "")


def forget(desk: ForgettingDesk, texts: Sequence[str] | None, known: Concerned | None = None) -> Withdrawal:
    """Put the rows on the list, or leave; then tell which updates are concerned, unless that was told.

    Raises:
        FedcartError: as `find_concerned`; or `withdrawal-busy`; or `withdrawal-lost`.
    """
    with withdrawing_alone(desk.workspace, desk.party):
        done = _forget(desk, texts, known)
    return replace(done, unanswered=unanswered_runs(desk))


def _forget(desk: ForgettingDesk, texts: Sequence[str] | None, known: Concerned | None) -> Withdrawal:
    new = 0
    if texts is None:
        with held_list(desk.workspace, desk.recipe, desk.party):
            leave(desk.workspace, desk.recipe)
    else:
        told = _require_list(desk)
        new = _put_on_list(desk, texts, told)
    concerned = find_concerned(desk, texts, known=known)
    if not (concerned.places or concerned.leaves):
        return Withdrawal(concerned, new, None, made=False)
    name = _name(desk, texts)
    standing = standing_notices(desk.store, desk.party, desk.recipe)
    before = told_before(standing, leaves=concerned.leaves, withdrawal=name, receipts=concerned.places)
    if before is not None:
        _note_told(desk, before)
        return Withdrawal(concerned, new, before, made=False)
    notice = WithdrawalNotice(
        party=desk.party,
        recipe=desk.recipe,
        number=_next_number(desk),
        leaves=concerned.leaves,
        withdrawal=name,
        receipts=tuple(ConcernedReceipt(run=run, round=n) for run, n in sorted(concerned.places)),
        rows=concerned.rows if desk.tells_rows and not concerned.leaves else None,
    )
    _note_told(desk, notice)  # first: a notice that is not noted is one of a folder that was lost
    key = withdrawal_key(desk.party, desk.recipe, notice.number)
    create_signed(desk.store, key, notice, desk.signing_key)
    if notice not in own_notices(desk.store, desk.party, desk.recipe):
        raise RunConflict(
            f"Another object stands where notice {notice.number} of {desk.party} was to be put",
            fix="run the command again, on the machine where the party's folder is",
            code="withdrawal-lost",
        )
    return Withdrawal(concerned, new, notice, made=True)


def _require_list(desk: ForgettingDesk) -> Told:
    """Refuse to go on with a list that is damaged, gone or older than a withdrawal, unless it is given up.

    Raises:
        DataRefused: `withdrawn-damaged`.
    """
    told = told_so_far(desk.store, desk.party, desk.recipe)
    if not desk.new_list:
        refuse_lost_list(desk.workspace, desk.recipe, told)
    return told


def _put_on_list(desk: ForgettingDesk, texts: Sequence[str], told: Told) -> int:
    """Put rows on the list, and then remind of what stands there; return how many are new."""
    with held_list(desk.workspace, desk.recipe, desk.party):
        _, new = withdraw(desk.workspace, desk.recipe, texts, told=told.names, new_list=desk.new_list)
    remind_of_list(desk.store, desk.workspace, desk.party, desk.recipe, told)
    return new


def _note_told(desk: ForgettingDesk, notice: WithdrawalNotice) -> None:
    """Remember a notice that says that the party left, so that its folder is missed when it is gone."""
    if notice.leaves:
        note_leaving(desk.workspace, desk.recipe, notice.number)


def _next_number(desk: ForgettingDesk) -> int:
    """One after what was told, and after what was noted by a leaving that was killed before it told it."""
    told = next_number(desk.store, desk.party, desk.recipe)
    return max(told, noted_leaving(desk.workspace, desk.recipe) + 1)


def _name(desk: ForgettingDesk, texts: Sequence[str] | None) -> str:
    """Names the rows of a notice, the same each time that they are withdrawn."""
    if texts is None:
        return keyed_name((), data_hash_key(desk.signing_key))
    return looked_for(desk.workspace, texts).name


def _concerned(
    desk: ForgettingDesk,
    receipts: Sequence[OwnReceipt],
    sides: Mapping[str, Found],
    rows: Withdrawn,
    *,
    leaves: bool,
) -> Concerned:
    def of(side: Side) -> tuple[Place, ...]:
        return tuple(
            sorted(
                each.place
                for each in receipts
                if (sides[each.data_hash].side if not leaves else "trained") == side
            )
        )

    return Concerned(
        desk.party, desk.recipe, leaves, len(rows), of("trained"), of("scored"), of("unknown"), sides
    )
