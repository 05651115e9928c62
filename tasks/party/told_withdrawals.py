"""What a party has told of withdrawals, as the bucket shows it. No Prefect."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from fedmodels.protocol.messages import Signed
from fedmodels.protocol.withdrawal import NOTICE_LIMIT, WithdrawalNotice, notice_place
from infra.layout import own_withdrawals_prefix
from infra.object_store import ObjectStore
from tasks.exchange import read_from_party
from tasks.party.withdrawn import has_list, list_lost


def own_notices(store: ObjectStore, party: str, recipe: str) -> list[WithdrawalNotice]:
    """The party's notices of the recipe, in order; what else lies there is none."""
    return sorted(_notices(store, own_withdrawals_prefix(party), recipe), key=lambda each: each.number)


def refuse_lost_list(store: ObjectStore, workspace: Path, party: str, recipe: str) -> None:
    """Keep a party from training that told of withdrawn rows and has no list of them any more.

    A party with a list costs no look into the bucket.

    Raises:
        DataRefused: `withdrawn-damaged`.
    """
    if has_list(workspace, recipe):
        return
    if any(not notice.leaves for notice in own_notices(store, party, recipe)):
        raise list_lost(recipe)


def _notices(store: ObjectStore, prefix: str, recipe: str) -> Iterator[WithdrawalNotice]:
    for key in store.list_keys(f"{prefix}{recipe}/"):
        signed = read_from_party(store, key, Signed, NOTICE_LIMIT)
        if notice_place(key.removeprefix(prefix)) is None or signed is None:
            continue
        try:
            yield WithdrawalNotice.model_validate_json(signed.payload)
        except ValidationError:
            continue
