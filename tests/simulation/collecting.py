"""What the simulation's coordinator makes of receipts and updates: waiting, admission, salvage, recall.

It imports the protocol's functions by name, so that a mutation can replace one here.
"""

from functools import partial
from typing import TYPE_CHECKING

from fedmodels.errors import UpdateRefused
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.collection import CollectionState, collection_state
from fedmodels.protocol.deciding import Collected, changed
from fedmodels.protocol.messages import (
    Announcement,
    Decision,
    Refusal,
)
from fedmodels.protocol.state import Collection
from infra.layout import (
    closed_key,
    receipt_key,
    update_key,
)
from tests.simulation import scenario
from tests.simulation.client import (
    age,
    read_from_party,
    stream,
)
from tests.simulation.requests import Story, Watch
from tests.simulation.scenario import GRACE, RUN
from validation.admission import Expected, check_receipt

if TYPE_CHECKING:
    from tests.simulation.coordinator import Coordinator

POISON = b"poison"
LOOK_SECONDS = 5.0


def collect(coordinator: "Coordinator", announcement: Announcement, late: tuple[str, ...]) -> Story:
    """Wait for the cohort until the round collects no longer; admit what came, and what was late before."""
    keys = {party: receipt_key(party, RUN, announcement.round) for party in announcement.cohort}
    arrived: dict[str, float] = {}
    found: dict[str, Collected] = {}
    lost: dict[str, str] = {}
    while True:
        for party in [party for party in keys if party not in found]:
            envelope = yield from read_from_party(keys[party])
            if envelope is not None:
                arrived[party] = coordinator.elapsed()
                found[party] = yield from _admit(coordinator, announcement, party, envelope)
        missing = [party for party in keys if party not in found and party not in lost]
        standing = _standing(coordinator, announcement, arrived, found)
        if standing.status != "waiting" or not missing:
            break
        if (yield from coordinator.look()):
            return Collection(announcement.round, ())
        for party in missing:
            if code := coordinator.look_after(party):
                lost[party] = code
        patience = min(standing.seconds_left, LOOK_SECONDS)
        watched = tuple(keys[party] for party in missing if party not in lost)
        yield Watch((*watched, closed_key(RUN)), patience + 0.1)
    for party in [party for party in keys if party not in found]:
        found[party] = yield from _last_look(
            coordinator, announcement, party, arrived, found, lost.get(party)
        )
    items = [*found.values(), *(yield from _salvage(coordinator, announcement, late, found))]
    return Collection(announcement.round, tuple(items))


def _standing(
    coordinator: "Coordinator",
    announcement: Announcement,
    arrived: dict[str, float],
    found: dict[str, Collected],
) -> CollectionState:
    return collection_state(
        announcement.cohort,
        arrived,
        coordinator.elapsed(),
        quorum=coordinator.plan.recipe.min_available_parties,
        round_timeout=announcement.round_timeout,
        grace=GRACE,
        sat_out=[party for party, item in found.items() if item.refusal],
        resumed_at=coordinator.resumed_at,
    )


def _last_look(
    coordinator: "Coordinator",
    announcement: Announcement,
    party: str,
    arrived: dict[str, float],
    found: dict[str, Collected],
    lost: str | None,
) -> Story:
    """What was submitted in time by the store's clock counts, though it is seen only now."""
    key = receipt_key(party, RUN, announcement.round)
    seconds, envelope = (yield from age(key)), (yield from read_from_party(key))
    if seconds is not None and envelope is not None:
        at = max(0.0, coordinator.elapsed() - seconds)
        if party in _standing(coordinator, announcement, arrived | {party: at}, found).present:
            arrived[party] = at
            return (yield from _admit(coordinator, announcement, party, envelope))
    code = lost or ("late" if coordinator.resumed_at is None else "late-after-resume")
    return refused(party, code)


def _salvage(
    coordinator: "Coordinator", announcement: Announcement, late: tuple[str, ...], found: dict[str, Collected]
) -> Story:
    items = []
    if late:
        before = yield from coordinator.before(announcement)
        for party in late:
            envelope = yield from read_from_party(receipt_key(party, RUN, before.round))
            if envelope is None:
                continue
            if found.get(party) and not found[party].refusal:
                items.append(refused(party, "duplicate", before.round))
            else:
                items.append((yield from _admit(coordinator, before, party, envelope, before.round)))
    return items


def _admit(
    coordinator: "Coordinator", asked: Announcement, party: str, envelope: bytes, earlier: int | None = None
) -> Story:
    """The real checks of the receipt; of the update, whether it is there, itself and no poison."""
    expected = Expected(
        RUN,
        asked.round,
        party,
        asked.model_sha256,
        coordinator.plan.parameters,
        plan_sha256=coordinator.world.scenario.plan_sha256,
    )
    try:
        receipt = check_receipt(envelope, expected, partial(scenario.verify, coordinator.plan.parties[party]))
        yield from _check_update(coordinator, party, receipt.update_sha256)
    except UpdateRefused as error:
        return refused(party, error.code, earlier)
    return Collected(party=party, receipt=receipt, receipt_sha256=sha256_hex(envelope), round=earlier)


def _check_update(coordinator: "Coordinator", party: str, sha256: str) -> Story:
    """What is refused is read once more: it may have been damaged on its way."""
    key = update_key(party, sha256)
    try:
        check_content((yield from stream(key)), sha256)
    except UpdateRefused:
        check_content((yield from stream(key)), sha256)


def recall(coordinator: "Coordinator", announcement: Announcement, decision: Decision) -> Story:
    """After a resume: what the standing decision counts, read again and held against its hashes."""
    items = [
        Collected(party=refusal.party, refusal=refusal, round=refusal.round) for refusal in decision.refused
    ]
    for update in decision.accepted:
        key = receipt_key(update.party, RUN, update.round or announcement.round)
        envelope = yield from read_from_party(key)
        if envelope is None or sha256_hex(envelope) != update.receipt_sha256:
            items.append(changed(update.party, update.round))
        else:
            receipt = coordinator.world.opened[envelope]
            items.append(
                Collected(
                    party=update.party,
                    receipt=receipt,
                    receipt_sha256=update.receipt_sha256,
                    round=update.round,
                )
            )
    return Collection(announcement.round, tuple(items))


def check_content(update: bytes | None, sha256: str) -> None:
    """What `check_update` says of bytes that stand for an update."""
    if update is None:
        raise UpdateRefused("The update is missing", code="update-missing")
    if sha256_hex(update) != sha256:
        raise UpdateRefused("Other bytes than the signed ones", code="update-hash-mismatch")
    if update.startswith(POISON):
        raise UpdateRefused("It holds NaN", code="update-not-finite")


def refused(party: str, code: str, number: int | None = None) -> Collected:
    """What stands for a party of which nothing counts."""
    refusal = Refusal(party=party, code=code, reason=f"{party}: {code}", round=number)
    return Collected(party=party, refusal=refusal, round=number)
