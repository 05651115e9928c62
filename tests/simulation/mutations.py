"""The protocol, broken on purpose: each mutation must be caught by the invariant that it names.

A checker that never fails proves nothing. Every invariant has at least one mutation here.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from fedmodels.errors import IntegrityError, StoreBusy, UpdateRefused
from fedmodels.protocol import deciding, resting, steps
from fedmodels.protocol.collection import collection_state
from fedmodels.protocol.messages import Evaluation, Receipt, Signed
from infra.layout import head_key
from tests.simulation import client, collecting, coordinator, party, proposing
from tests.simulation.requests import Get, Put, Story
from tests.simulation.scenario import RUN
from validation.evaluations import open_evaluation


@dataclass(frozen=True)
class Mutation:
    """A fault of the protocol: what to replace, by what, and which invariants may notice it first."""

    name: str
    caught_by: tuple[str, ...]
    replaced: tuple[tuple[Any, str, Any], ...]


@contextmanager
def applied(mutation: Mutation) -> Iterator[None]:
    """The protocol with the mutation in it."""
    with ExitStack() as undo:
        patch = undo.enter_context(pytest.MonkeyPatch.context())
        for owner, name, replacement in mutation.replaced:
            patch.setattr(owner, name, replacement)
        yield


def _create_and_trust_ourselves(key: str, value: Any) -> Story:
    yield from client.create(key, value)
    return value


def _create_over_what_stands(key: str, value: Any) -> Story:
    if key == head_key(RUN):
        return (yield from client.create(key, value))
    yield from client.put(key, value)
    return value


def _create_all_but_records(key: str, value: Any) -> Story:
    if key.endswith("record.json"):
        return value
    return (yield from client.create(key, value))


def _swap_whatever_the_version(key: str, value: Any, _version: int) -> Story:
    yield from client.ask(Put(key, value))
    return True


def _take_over_whoever_it_is(_self: Any, head: Any) -> Story:
    """Of two that swap at once, the second believes the first one's HEAD to be its own."""
    yield from coordinator.swap(head_key(RUN), head, _self._version)
    standing = yield from _self._read_head()
    own = head.model_copy(update={"owner": standing.owner})
    if standing != own:
        raise coordinator._epoch_lost()
    _self._state = coordinator.advance(_self._state, head)


def _everybody_of_the_last_round(records: Any, recipe: Any) -> tuple[str, ...]:
    if recipe.salvage is None or not records:
        return ()
    return tuple(sorted({*records[-1].accepted, *(refusal.party for refusal in records[-1].refused)}))


def _all_but_the_accepted(records: Any, recipe: Any) -> tuple[str, ...]:
    if recipe.salvage is None or not records:
        return ()
    return tuple(party for party in recipe.parties if party not in records[-1].accepted)


def _whoever_has_no_other(_self: Any, item: Any, admitted: Any) -> str | None:
    return "duplicate" if item.party in admitted else None


def _open_the_envelope(envelope: bytes, _expected: Any, _verify: Any) -> Receipt:
    try:
        return Receipt.model_validate_json(Signed.model_validate_json(envelope).payload)
    except ValidationError:
        raise UpdateRefused("It is none", code="receipt-malformed") from None


def _open_the_scores(envelope: bytes, *_told: Any) -> Evaluation | None:
    try:
        return Evaluation.model_validate_json(Signed.model_validate_json(envelope).payload)
    except ValidationError:
        return None


def _whoever_signed_the_scores(envelope: bytes, candidate: Any, party: str, _verify: Any) -> Any:
    return open_evaluation(envelope, candidate, party, lambda _payload, _signature: True)


def _never_over(*arguments: Any, **options: Any) -> Any:
    found = collection_state(*arguments, **options)
    late = {"round_timeout": 1e9, "grace": 1e9}
    return collection_state(*arguments, **(options | late)) if found.status == "over" else found


def _undone_shares(shares: Any, discounts: Any) -> dict[str, float]:
    return {party: share * discounts.get(party, 1.0) for party, share in shares.items()}


def _without_refusals(*arguments: Any, **options: Any) -> Any:
    return deciding.decide(*arguments, **options).model_copy(update={"refused": ()})


def _without_a_code(party: str, _code: str, number: int | None = None) -> Any:
    refusal = collecting.Refusal(party=party, code="", reason="Somehow.", round=number)
    return collecting.Collected(party=party, refusal=refusal, round=number)


def _all_who_were_ever_refused(records: Any, _parties: Any, _min_available: int) -> frozenset[str]:
    return frozenset(refusal.party for record in records for refusal in record.refused)


def _blame(_key: str) -> IntegrityError:
    return IntegrityError("The object coordinator/other is damaged", code=client.DAMAGED)


def _see_nothing(_self: Any) -> Story:
    yield from ()
    return False


def _created_by(create: Any) -> tuple[tuple[Any, str, Any], ...]:
    """The coordinator's way to create a message, wherever it does."""
    return (coordinator, "create", create), (proposing, "create", create)


MUTATIONS = (
    Mutation(
        "does not adopt what another coordinator wrote",
        ("chain-is-valid", "model-follows-decisions"),
        _created_by(_create_and_trust_ourselves),
    ),
    Mutation("writes over what stands", ("written-once",), _created_by(_create_over_what_stands)),
    Mutation(
        "moves HEAD before the record stands",
        ("chain-is-valid",),
        _created_by(_create_all_but_records),
    ),
    Mutation(
        "moves HEAD without compare-and-swap",
        ("head-is-monotone", "chain-is-valid", "one-coordinator-an-epoch"),
        ((coordinator, "swap", _swap_whatever_the_version),),
    ),
    Mutation(
        "takes another's epoch for its own",
        ("one-coordinator-an-epoch",),
        (
            (coordinator.Coordinator, "_swap_head", _take_over_whoever_it_is),
            (coordinator, "is_taken", lambda ours, standing: standing.epoch > ours.epoch),
        ),
    ),
    Mutation(
        "salvages whoever has a receipt, whatever the cohort",
        ("was-asked",),
        (
            (steps, "salvageable", _all_but_the_accepted),
            (deciding, "salvageable", _all_but_the_accepted),
            (deciding._Allowed, "objection", _whoever_has_no_other),
        ),
    ),
    Mutation(
        "counts an update again in the next round",
        ("counts-once",),
        (
            (steps, "salvageable", _everybody_of_the_last_round),
            (deciding, "salvageable", _everybody_of_the_last_round),
        ),
    ),
    Mutation(
        "admits receipts without checking them",
        ("verified-only",),
        ((collecting, "check_receipt", _open_the_envelope),),
    ),
    Mutation(
        "admits updates without reading them",
        ("verified-only",),
        ((collecting, "check_content", lambda _update, _sha256: None),),
    ),
    Mutation(
        "sums updates as they arrive",
        ("damage-stays-out",),
        ((proposing, "is_pinned", lambda _content, _update: True),),
    ),
    Mutation(
        "believes messages as they arrive",
        ("written-once", "chain-is-valid", "head-is-monotone", "verified-only", "model-follows-decisions"),
        ((client, "whole", lambda key: client.once(Get(key))),),
    ),
    Mutation(
        "tries again what is damaged where it stands",
        ("never-stuck",),
        ((client, "rotten", lambda key: StoreBusy(f"The object {key} did not arrive")),),
    ),
    Mutation(
        "names another object than the damaged one", ("damage-is-named",), ((client, "rotten", _blame),)
    ),
    Mutation(
        "takes any scores for a vote",
        ("votes-are-signed",),
        ((proposing, "open_evaluation", _open_the_scores),),
    ),
    Mutation(
        "does not look who signed the scores",
        ("votes-are-signed",),
        ((proposing, "open_evaluation", _whoever_signed_the_scores),),
    ),
    Mutation(
        "waits for everybody for ever, and so do the sessions",
        ("never-stuck",),
        ((collecting, "collection_state", _never_over), (party, "PATIENCE", math.inf)),
    ),
    Mutation(
        "discounts without scaling", ("weights-sum-to-one",), ((deciding, "discounted", _undone_shares),)
    ),
    Mutation("forgets whom it refused", ("nobody-vanishes",), ((coordinator, "decide", _without_refusals),)),
    Mutation("refuses without a code", ("refusals-have-codes",), ((collecting, "refused", _without_a_code),)),
    Mutation(
        "lets everybody rest",
        ("enough-are-asked",),
        ((steps, "resting_parties", _all_who_were_ever_refused),),
    ),
    Mutation(
        "asks whom it dropped",
        ("dropped-are-left-out",),
        ((resting, "dropped_parties", lambda _records: frozenset()),),
    ),
    Mutation(
        "does not look for a cancel",
        ("cancelling-keeps-head",),
        ((coordinator.Coordinator, "look", _see_nothing),),
    ),
)
