"""What the simulation's coordinator makes of a decision: sum, candidate, scores, and the gate's word.

It imports the protocol's functions by name, so that a mutation can replace one here.
"""

from functools import partial
from typing import TYPE_CHECKING

from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.deciding import changed
from fedmodels.protocol.messages import (
    AcceptedUpdate,
    Candidate,
    Decision,
    GateResult,
    Metrics,
)
from fedmodels.protocol.recording import NO_FINITE_AVERAGE
from fedmodels.protocol.resting import may_drop
from fedmodels.protocol.state import Collection, Verdict
from infra.layout import (
    closed_key,
    evaluation_key,
    model_key,
    update_key,
)
from tests.simulation import scenario
from tests.simulation.client import (
    create,
    put,
    read_from_party,
    stream,
)
from tests.simulation.collecting import LOOK_SECONDS
from tests.simulation.requests import Sleep, Story, Watch
from tests.simulation.scenario import RUN
from validation.evaluations import open_evaluation

if TYPE_CHECKING:
    from tests.simulation.coordinator import Coordinator

AVERAGE_TRIES = 3
"""How often the average is begun anew because what arrives is not what was admitted."""
NO_AVERAGE, NO_SCORES = 0.02, 0.04
"""Shares of decisions whose average is no model, and of these and those whose model has no finite scores."""


def model_of(decision: Decision) -> str:
    """The model that aggregating a decision gives: its hash stands for its bytes."""
    return sum_of(decision, [update.update_sha256 for update in decision.accepted])


def sum_of(decision: Decision, hashes: list[str]) -> str:
    """The model that comes of updates whose bytes have these hashes, with the decision's weights."""
    updates = [
        (sha256, repr(update.weight)) for sha256, update in zip(hashes, decision.accepted, strict=True)
    ]
    return sha256_hex(repr((decision.base_sha256, updates)).encode())


def propose(coordinator: "Coordinator", decision: Decision) -> Story:
    """Aggregate: every update is read again, and one that vanished makes the round fail."""
    gone, hashes = set(), []
    for update in decision.accepted:
        content = yield from _fetch(coordinator, update)
        if content is None:
            gone.add((update.party, update.round))
        else:
            hashes.append(sha256_hex(content))
    if gone:
        items = coordinator.state.collected.items
        return Collection(
            decision.round,
            tuple(
                changed(item.party, item.round)
                if item.refusal is None and (item.party, item.round) in gone
                else item
                for item in items
            ),
        )
    sha256 = sum_of(decision, hashes)
    yield Sleep(0.5)
    luck = int(sha256[:4], 16) / 0xFFFF
    if luck < NO_AVERAGE:
        return Verdict(decision.round, {}, None, NO_FINITE_AVERAGE, _worst(coordinator, decision))
    yield from put(model_key(sha256), sha256)
    finite = luck >= NO_SCORES
    scores = Metrics(accuracy=luck, macro_f1=luck, loss=1.0, num_examples=10) if finite else None
    candidate = Candidate(
        run=RUN,
        round=decision.round,
        model_sha256=sha256,
        evaluate=coordinator.plan.recipe.evaluate_at_parties and finite,
        evaluation_timeout=coordinator.plan.recipe.evaluation_timeout,
        metrics=scores,
        fine_tuning=None,
    )
    return (yield from create(coordinator.key("candidate"), candidate))


def _fetch(coordinator: "Coordinator", update: AcceptedUpdate) -> Story:
    """The bytes that the decision pins, or `None` when they are not there any more."""
    for _ in range(AVERAGE_TRIES):
        content = yield from stream(update_key(update.party, update.update_sha256))
        if content is not None and is_pinned(content, update):
            return content
    return None


def judge(coordinator: "Coordinator", candidate: Candidate, asked: tuple[str, ...]) -> Story:
    """Wait for the scores; the gate's word is drawn, so that two coordinators may differ in it."""
    began = coordinator.clock()
    found: dict[str, bytes | None] = dict.fromkeys(asked)
    while missing := [party for party in asked if found[party] is None]:
        for party in missing:
            found[party] = yield from read_from_party(evaluation_key(party, RUN, candidate.round))
        left = candidate.evaluation_timeout - (coordinator.clock() - began)
        gone = all(coordinator.look_after(party) for party in asked if found[party] is None)
        if left <= 0 or gone or (yield from coordinator.look()):
            break
        keys = tuple(evaluation_key(party, RUN, candidate.round) for party in missing)
        yield Watch((*keys, closed_key(RUN)), min(left, LOOK_SECONDS) + 0.1)
    evaluations = {
        party: open_evaluation(
            envelope, candidate, party, partial(scenario.verify, coordinator.plan.parties[party])
        )
        for party, envelope in found.items()
        if envelope is not None
    }
    refuses = 1.0 if candidate.metrics is None else coordinator.world.scenario.gate_refuses
    passed = coordinator.world.random.random() >= refuses
    gate = GateResult(passed=passed, reasons=("drawn: passed." if passed else "drawn: refused.",))
    dropped = None if passed else _worst(coordinator, coordinator.state.decision)
    return Verdict(candidate.round, evaluations, candidate.metrics, gate, dropped)


def _worst(coordinator: "Coordinator", decision: Decision) -> str | None:
    """Whom a refused round drops: drawn, so that two coordinators may differ in it."""
    if not may_drop(coordinator.plan.recipe, coordinator.plan.parties, coordinator.state.records, decision):
        return None
    return coordinator.world.random.choice([update.party for update in decision.accepted])


def is_pinned(content: bytes, update: AcceptedUpdate) -> bool:
    """Whether these are the bytes that were admitted."""
    return sha256_hex(content) == update.update_sha256
