"""What there is of a run at one moment, though its coordinator and parties go on writing meanwhile.

A store lists no moment: what is written during a listing may be in it while what was written before that is
not. So the coordinator's part is looked at until two looks show the same. Between them nothing of it was
written, and then the first look is whole in the way in which messages hold each other:

    what a message names   was written before it, so the second look would show it, and so the first does
    the record of HEAD     was written before HEAD, which is read first
    a party's message      that a message of the coordinator's names was written before that, and is listed
                           after it; none is of a later round than the one that was open until the second look
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedmodels.errors import StoreBusy
from infra.layout import (
    COORDINATOR,
    closed_key,
    head_key,
    parties_prefix,
    run_prefix,
)
from infra.object_store import ObjectStore
from tasks.exchange import read_as_it_is

LOOKS = 50
"""At a run that does not hold still between two of them."""


@dataclass(frozen=True)
class Look:
    """One look at a run. `moving` is what HEAD and `closed.json` are, by key; `theirs` the parties' keys."""

    moving: Mapping[str, bytes | None]
    own: tuple[str, ...]
    theirs: Mapping[str, tuple[str, ...]] = field(compare=False)


def settled(store: ObjectStore, run: str) -> Look:
    """A look at a run, after which another one showed the same of the coordinator's part.

    Raises:
        StoreBusy: the coordinator writes faster than its run can be listed.
    """
    before = _look(store, run)
    for _ in range(LOOKS):
        after = _look(store, run)
        if after == before:
            return before
        before = after
    raise StoreBusy(
        f"The run {run} moved on between any two of {LOOKS} looks at its {len(before.own)} messages",
        fix="try again",
        code="run-moving",
    )


def _look(store: ObjectStore, run: str) -> Look:
    moving = {key: read_as_it_is(store, key) for key in (head_key(run), closed_key(run))}
    own = tuple(store.list_keys(run_prefix(COORDINATOR, run)))
    parties = store.list_folders(parties_prefix())
    return Look(moving, own, {party: tuple(store.list_keys(run_prefix(party, run))) for party in parties})
