"""What a party has told of withdrawals, as the bucket shows it. No Prefect."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from fedmodels.protocol.messages import Signed
from fedmodels.protocol.withdrawal import NOTICE_LIMIT, WithdrawalNotice, notice_place
from infra.layout import known_withdrawals_prefix, own_withdrawals_prefix
from infra.object_store import ObjectStore
from tasks.exchange import read_from_party
from tasks.party.withdrawn import has_list, list_lost


def own_notices(store: ObjectStore, party: str, recipe: str) -> list[WithdrawalNotice]:
    """The party's notices of the recipe, in order; what else lies there is none."""
    return sorted(_notices(store, own_withdrawals_prefix(party), recipe), key=lambda each: each.number)


def standing_notices(store: ObjectStore, party: str, recipe: str) -> list[WithdrawalNotice]:
    """What the coordinator has heard of the party or can hear, in order, as `own_notices`.

    A notice that was heard is known by the coordinator's copy, whatever lies below the party's prefix now:
    of a number that has a copy, that is all the coordinator knows.
    """
    heard = _notices(store, known_withdrawals_prefix(recipe), party)
    by_number = {each.number: each for each in (*own_notices(store, party, recipe), *heard)}
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


def refuse_lost_list(store: ObjectStore, workspace: Path, party: str, recipe: str) -> None:
    """Keep a party from training that told of withdrawn rows and has no list of them any more.

    A party with a list costs no look into the bucket.

    Raises:
        DataRefused: `withdrawn-damaged`.
    """
    if has_list(workspace, recipe):
        return
    if any(not notice.leaves for notice in standing_notices(store, party, recipe)):
        raise list_lost(recipe)


def _notices(store: ObjectStore, prefix: str, name: str) -> Iterator[WithdrawalNotice]:
    """Those in one folder below a prefix."""
    for key in store.list_keys(f"{prefix}{name}/"):
        signed = read_from_party(store, key, Signed, NOTICE_LIMIT)
        if notice_place(key.removeprefix(prefix)) is None or signed is None:
            continue
        try:
            yield WithdrawalNotice.model_validate_json(signed.payload)
        except ValidationError:
            continue
