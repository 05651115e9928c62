"""What a party has told of withdrawals, as the bucket shows it; its folder is held against that. No Prefect.

A reminder, one a withdrawal, stands in the bucket as soon as the list has it, whether or not any model has
learned from the rows: a list that is gone, or comes from an old backup, is missed by it, and by a notice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fedmodels.protocol.messages import Signed
from fedmodels.protocol.withdrawal import NOTICE_LIMIT, WithdrawalNotice, notice_place
from infra.layout import (
    known_withdrawals_prefix,
    own_withdrawals_prefix,
    withdrawal_reminder_key,
    withdrawal_reminders_prefix,
)
from infra.object_store import ObjectStore
from tasks.exchange import read_from_party
from tasks.party.leaving import leave, note_leaving, noted_leaving, refuse_left
from tasks.party.withdrawn import (
    answered,
    list_lost,
    list_older,
    withdrawn_file,
)

Notices = dict[str, WithdrawalNotice]
"""By key. A notice is written once: whoever looks again and again reads each once."""
_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Told:
    """What the bucket says of a party's withdrawals from a recipe."""

    reminded: frozenset[str]
    """Names of withdrawals with a reminder."""
    noticed: frozenset[str]
    """Names of those in notices."""
    left: int
    """Number of the last notice that says that the party left; 0: none does."""

    @property
    def names(self) -> frozenset[str]:
        """Of every withdrawal that the bucket knows of."""
        return self.reminded | self.noticed


def told_so_far(store: ObjectStore, party: str, recipe: str, known: Notices | None = None) -> Told:
    """What reminders and notices say, wherever a notice stands.

    Args:
        store: with the party's own credentials.
        party: its id.
        recipe: name of the recipe.
        known: notices that were read before; those that are read now are put there.
    """
    prefix = withdrawal_reminders_prefix(party, recipe)
    reminded = (key.removeprefix(prefix) for key in store.list_keys(prefix))
    notices = standing_notices(store, party, recipe, known)
    return Told(
        frozenset(name for name in reminded if _NAME.fullmatch(name)),
        frozenset(notice.withdrawal for notice in notices if not notice.leaves),
        max((notice.number for notice in notices if notice.leaves), default=0),
    )


def remind_of_list(store: ObjectStore, workspace: Path, party: str, recipe: str, told: Told) -> None:
    """Let the bucket know of every withdrawal that stands on the party's list. Twice is harmless.

    Whoever was killed between list and bucket is followed by somebody who does so: the next withdrawal, or
    the next session that joins a run.
    """
    for name in sorted((answered(workspace, recipe) or frozenset()) - told.reminded):
        store.create(withdrawal_reminder_key(party, recipe, name), name.encode())


def own_notices(
    store: ObjectStore, party: str, recipe: str, known: Notices | None = None
) -> list[WithdrawalNotice]:
    """The party's notices of the recipe, in order; what else lies there is none."""
    found = _notices(store, own_withdrawals_prefix(party), recipe, known)
    return sorted(found, key=lambda each: each.number)


def standing_notices(
    store: ObjectStore, party: str, recipe: str, known: Notices | None = None
) -> list[WithdrawalNotice]:
    """What the coordinator has heard of the party or can hear, in order, as `own_notices`.

    A notice that was heard is known by the coordinator's copy, whatever lies below the party's prefix now:
    of a number that has a copy, that is all the coordinator knows.
    """
    heard = _notices(store, known_withdrawals_prefix(recipe), party, known)
    by_number = {each.number: each for each in (*own_notices(store, party, recipe, known), *heard)}
    return [by_number[number] for number in sorted(by_number)]


def next_number(store: ObjectStore, party: str, recipe: str) -> int:
    """The first number at which the party never told anything, as far as either prefix shows.

    The coordinator passes over a number that it has heard: two notices never share one.
    """
    places = ((own_withdrawals_prefix(party), recipe), (known_withdrawals_prefix(recipe), party))
    keys = (
        key.removeprefix(prefix) for prefix, name in places for key in store.list_keys(f"{prefix}{name}/")
    )
    return max((place[1] for key in keys if (place := notice_place(key))), default=0) + 1


def refuse_lost_list(workspace: Path, recipe: str, told: Told) -> None:
    """Keep a party from training whose list lacks a withdrawal of which the bucket knows.

    A list from before lists kept the names of withdrawals is taken for whole where no reminder stands: the
    first one comes with a list that has them.

    Args:
        workspace: the party's own folder.
        recipe: name of the recipe.
        told: read before the list is: a withdrawal in between is then no miss.

    Raises:
        DataRefused: `withdrawn-damaged`.
    """
    answers = answered(workspace, recipe)
    missing = told.reminded if answers is None else told.names - answers
    if missing and not withdrawn_file(workspace, recipe).exists():
        raise list_lost(recipe)
    if missing:
        raise list_older(recipe, len(missing))


def refuse_left_before(workspace: Path, recipe: str, party: str, told: Told) -> None:
    """Keep a party out that has told that it left, where its folder knows nothing of it any more.

    The folder then knows again: a person who lets the party come back does so as after any leaving. That is
    noted whenever it stands there, so that a folder from before leavings were noted needs no second word.

    Raises:
        PolicyForbids: `party-left`.
    """
    if told.left > noted_leaving(workspace, recipe):
        leave(workspace, recipe)
        note_leaving(workspace, recipe, told.left)
    refuse_left(workspace, recipe, party)


def _notices(store: ObjectStore, prefix: str, name: str, known: Notices | None) -> Iterator[WithdrawalNotice]:
    """Those in one folder below a prefix."""
    for key in store.list_keys(f"{prefix}{name}/"):
        if notice_place(key.removeprefix(prefix)) is None:
            continue
        notice = (known or {}).get(key) or _notice(store, key)
        if notice is None:
            continue
        if known is not None:
            known[key] = notice
        yield notice


def _notice(store: ObjectStore, key: str) -> WithdrawalNotice | None:
    signed = read_from_party(store, key, Signed, NOTICE_LIMIT)
    try:
        return WithdrawalNotice.model_validate_json(signed.payload) if signed else None
    except ValidationError:
        return None
