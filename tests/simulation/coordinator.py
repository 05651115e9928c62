"""The coordinator of the simulation: the flow's loop over the same protocol, with requests for tasks.

It imports the protocol's functions by name, so that a mutation can replace one here.
"""

from functools import partial
from typing import TYPE_CHECKING

from fedmodels.aggregation.fedavg import fedavg_weights
from fedmodels.errors import RunConflict, UpdateRefused
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.chain import check_chain
from fedmodels.protocol.collection import CollectionState, collection_state
from fedmodels.protocol.deciding import Collected, changed, decide
from fedmodels.protocol.messages import (
    AcceptedUpdate,
    Announcement,
    Candidate,
    Decision,
    GateResult,
    Head,
    Metrics,
    Refusal,
    RoundSeconds,
)
from fedmodels.protocol.progress import is_taken, opening_head, refuse_closed, takeover
from fedmodels.protocol.recording import NO_FINITE_AVERAGE, closing, record_of
from fedmodels.protocol.restarts import Restarts, after_look, code_of_death, session_fate
from fedmodels.protocol.resting import may_drop
from fedmodels.protocol.state import Collection, RunState, Verdict, advance
from fedmodels.protocol.steps import (
    Announce,
    CloseRun,
    Collect,
    Commit,
    Decide,
    Ended,
    Halt,
    Judge,
    MoveHead,
    Propose,
    Recall,
    next_step,
)
from infra.layout import (
    closed_key,
    evaluation_key,
    head_key,
    model_key,
    plan_key,
    receipt_key,
    round_key,
    update_key,
)
from tests.simulation import scenario
from tests.simulation.client import (
    age,
    create,
    put,
    read,
    read_from_party,
    read_version,
    retried,
    stream,
    swap,
)
from tests.simulation.scenario import GRACE, RUN
from tests.simulation.store_model import Stored
from tests.simulation.world import Sleep, Story, Watch
from validation.admission import Expected, check_receipt
from validation.evaluations import open_evaluation

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

SECONDS = RoundSeconds(total=0.0, train=0.0, overhead=0.0)
POISON = b"poison"
LOOK_SECONDS = 5.0
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


class Coordinator:
    """One coordinator, from its start to its end or death."""

    def __init__(self, world: "Simulation", owner: str, *, resume: bool) -> None:
        self.world, self.plan, self.resume = world, world.scenario.plan, resume
        self.owner = owner
        self.announced_at = 0.0
        self.resumed_at: float | None = None
        self.restarts: dict[str, Restarts] = {}

    @property
    def state(self) -> RunState:
        return self._state

    def tell(self) -> Story:
        """Open or resume the run, then take one step after the other."""
        yield from self._resume() if self.resume else self._open()
        for party in self.plan.parties:
            self.world.start_session(party)
        while True:
            if self._state.closed is None:
                yield from self._look()
            match next_step(self._state):
                case Ended(closed):
                    return closed
                case Halt(error):
                    raise error
                case MoveHead(_, head):
                    yield from retried(lambda head=head: self._move_head(head))
                case step:
                    self._state = advance(self._state, (yield from self._take(step)))

    def _take(self, step: object) -> Story:
        match step:
            case Announce(announcement):
                self.announced_at, self.resumed_at = self._clock(), None
                return (yield from create(self._key("announcement"), announcement))
            case Collect(announcement, late):
                return (yield from self._collect(announcement, late))
            case Decide(announcement, late):
                before = (yield from self._before(announcement)) if late else None
                weighting = self.plan.recipe.weighting
                decision = decide(
                    announcement,
                    self._state.collected.items,
                    lambda counts: fedavg_weights(counts, weighting),
                    self.plan.recipe,
                    records=self._state.records,
                    before=before,
                )
                return (yield from create(self._key("decision"), decision))
            case Recall(announcement, decision):
                return (yield from self._recall(announcement, decision))
            case Propose(decision):
                return (yield from self._propose(decision))
            case Judge(candidate, asked):
                return (yield from self._judge(candidate, asked))
            case Commit():
                return (yield from create(self._key("record"), record_of(self._state, SECONDS)))
            case CloseRun(status, code, reason):
                closed = closing(self._state.head, self._state.records, status, code, reason, 0.0)
                return (yield from create(closed_key(RUN), closed))
        raise AssertionError(step)

    def _open(self) -> Story:
        opening = opening_head(RUN, self.plan.base_model_sha256, self.owner)
        yield from create(plan_key(RUN), self.plan)
        yield from create(head_key(RUN), opening)
        head = yield from self._read_head()
        if head != opening:
            raise RunConflict("The run has begun", code="run-exists")
        self._state = RunState(plan=self.plan, head=head)

    def _resume(self) -> Story:
        plan = yield from create(plan_key(RUN), self.plan)
        refuse_closed((yield from read(closed_key(RUN))))
        yield from create(head_key(RUN), opening_head(RUN, plan.base_model_sha256, self.owner))
        head = yield from self._read_head()
        records = []
        for number in range(1, head.round + 1):
            records.append((yield from read(round_key(RUN, number, "record"))))
        check_chain(head, records)
        self._state = RunState(plan=plan, head=head, records=tuple(records), took_over_at=head.round)
        yield from retried(lambda: self._swap_head(takeover(head, self.owner)))
        for kind in ("announcement", "decision", "candidate", "record"):
            found = yield from read(self._key(kind))
            if found is not None:
                self._state = advance(self._state, found)
        if self._state.announcement is not None:
            elapsed = (yield from age(self._key("announcement"))) or 0.0
            self.announced_at, self.resumed_at = self._clock() - elapsed, elapsed

    def _read_head(self) -> Story:
        found: Stored | None = yield from read_version(head_key(RUN))
        assert found is not None
        self._version = found.version
        return found.value

    def _move_head(self, head: Head) -> Story:
        """Swap HEAD, unless the run was closed; looks again at every try."""
        if not (yield from self._look()):
            yield from self._swap_head(head)

    def _swap_head(self, head: Head) -> Story:
        if not (yield from swap(head_key(RUN), head, self._version)):
            raise _epoch_lost()
        if (yield from self._read_head()) != head:
            raise _epoch_lost()
        self._state = advance(self._state, head)

    def _look(self) -> Story:
        """Fold a `closed.json`, or stop when another coordinator has taken over."""
        head = yield from read(head_key(RUN))
        closed = yield from read(closed_key(RUN))  # last: what comes next may be a swap of HEAD
        if closed is not None:
            self._state = advance(self._state, closed)
            return True
        if is_taken(self._state.head, head):
            raise _epoch_lost()
        return False

    def _collect(self, announcement: Announcement, late: tuple[str, ...]) -> Story:
        keys = {party: receipt_key(party, RUN, announcement.round) for party in announcement.cohort}
        arrived: dict[str, float] = {}
        found: dict[str, Collected] = {}
        lost: dict[str, str] = {}
        while True:
            for party in [party for party in keys if party not in found]:
                envelope = yield from read_from_party(keys[party])
                if envelope is not None:
                    arrived[party] = self._elapsed()
                    found[party] = yield from self._admit(announcement, party, envelope)
            missing = [party for party in keys if party not in found and party not in lost]
            standing = self._standing(announcement, arrived, found)
            if standing.status != "waiting" or not missing:
                break
            if (yield from self._look()):
                return Collection(announcement.round, ())
            for party in missing:
                if code := self._look_after(party):
                    lost[party] = code
            patience = min(standing.seconds_left, LOOK_SECONDS)
            watched = tuple(keys[party] for party in missing if party not in lost)
            yield Watch((*watched, closed_key(RUN)), patience + 0.1)
        for party in [party for party in keys if party not in found]:
            found[party] = yield from self._last_look(announcement, party, arrived, found, lost.get(party))
        items = [*found.values(), *(yield from self._salvage(announcement, late, found))]
        return Collection(announcement.round, tuple(items))

    def _standing(
        self, announcement: Announcement, arrived: dict[str, float], found: dict[str, Collected]
    ) -> CollectionState:
        return collection_state(
            announcement.cohort,
            arrived,
            self._elapsed(),
            quorum=self.plan.recipe.min_available_parties,
            round_timeout=announcement.round_timeout,
            grace=GRACE,
            sat_out=[party for party, item in found.items() if item.refusal],
            resumed_at=self.resumed_at,
        )

    def _last_look(
        self,
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
            at = max(0.0, self._elapsed() - seconds)
            if party in self._standing(announcement, arrived | {party: at}, found).present:
                arrived[party] = at
                return (yield from self._admit(announcement, party, envelope))
        code = lost or ("late" if self.resumed_at is None else "late-after-resume")
        return _refused(party, code)

    def _salvage(
        self, announcement: Announcement, late: tuple[str, ...], found: dict[str, Collected]
    ) -> Story:
        items = []
        if late:
            before = yield from self._before(announcement)
            for party in late:
                envelope = yield from read_from_party(receipt_key(party, RUN, before.round))
                if envelope is None:
                    continue
                if found.get(party) and not found[party].refusal:
                    items.append(_refused(party, "duplicate", before.round))
                else:
                    items.append((yield from self._admit(before, party, envelope, before.round)))
        return items

    def _admit(self, asked: Announcement, party: str, envelope: bytes, earlier: int | None = None) -> Story:
        """The real checks of the receipt; of the update, whether it is there, itself and no poison."""
        expected = Expected(
            RUN,
            asked.round,
            party,
            asked.model_sha256,
            self.plan.parameters,
            plan_sha256=self.world.scenario.plan_sha256,
        )
        try:
            receipt = check_receipt(envelope, expected, partial(scenario.verify, self.plan.parties[party]))
            yield from self._check_update(party, receipt.update_sha256)
        except UpdateRefused as error:
            return _refused(party, error.code, earlier)
        return Collected(party=party, receipt=receipt, receipt_sha256=sha256_hex(envelope), round=earlier)

    def _check_update(self, party: str, sha256: str) -> Story:
        """What is refused is read once more: it may have been damaged on its way."""
        key = update_key(party, sha256)
        try:
            check_content((yield from stream(key)), sha256)
        except UpdateRefused:
            check_content((yield from stream(key)), sha256)

    def _recall(self, announcement: Announcement, decision: Decision) -> Story:
        items = [
            Collected(party=refusal.party, refusal=refusal, round=refusal.round)
            for refusal in decision.refused
        ]
        for update in decision.accepted:
            key = receipt_key(update.party, RUN, update.round or announcement.round)
            envelope = yield from read_from_party(key)
            if envelope is None or sha256_hex(envelope) != update.receipt_sha256:
                items.append(changed(update.party, update.round))
            else:
                receipt = self.world.opened[envelope]
                items.append(
                    Collected(
                        party=update.party,
                        receipt=receipt,
                        receipt_sha256=update.receipt_sha256,
                        round=update.round,
                    )
                )
        return Collection(announcement.round, tuple(items))

    def _propose(self, decision: Decision) -> Story:
        """Aggregate: every update is read again, and one that vanished makes the round fail."""
        gone, hashes = set(), []
        for update in decision.accepted:
            content = yield from self._fetch(update)
            if content is None:
                gone.add((update.party, update.round))
            else:
                hashes.append(sha256_hex(content))
        if gone:
            items = self._state.collected.items
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
            return Verdict(decision.round, {}, None, NO_FINITE_AVERAGE, self._worst(decision))
        yield from put(model_key(sha256), sha256)
        finite = luck >= NO_SCORES
        scores = Metrics(accuracy=luck, macro_f1=luck, loss=1.0, num_examples=10) if finite else None
        candidate = Candidate(
            run=RUN,
            round=decision.round,
            model_sha256=sha256,
            evaluate=self.plan.recipe.evaluate_at_parties and finite,
            evaluation_timeout=self.plan.recipe.evaluation_timeout,
            metrics=scores,
            fine_tuning=None,
        )
        return (yield from create(self._key("candidate"), candidate))

    def _fetch(self, update: AcceptedUpdate) -> Story:
        """The bytes that the decision pins, or `None` when they are not there any more."""
        for _ in range(AVERAGE_TRIES):
            content = yield from stream(update_key(update.party, update.update_sha256))
            if content is not None and is_pinned(content, update):
                return content
        return None

    def _judge(self, candidate: Candidate, asked: tuple[str, ...]) -> Story:
        """Wait for the scores; the gate's word is drawn, so that two coordinators may differ in it."""
        began = self._clock()
        found: dict[str, bytes | None] = dict.fromkeys(asked)
        while missing := [party for party in asked if found[party] is None]:
            for party in missing:
                found[party] = yield from read_from_party(evaluation_key(party, RUN, candidate.round))
            left = candidate.evaluation_timeout - (self._clock() - began)
            gone = all(self._look_after(party) for party in asked if found[party] is None)
            if left <= 0 or gone or (yield from self._look()):
                break
            keys = tuple(evaluation_key(party, RUN, candidate.round) for party in missing)
            yield Watch((*keys, closed_key(RUN)), min(left, LOOK_SECONDS) + 0.1)
        evaluations = {
            party: open_evaluation(
                envelope, candidate, party, partial(scenario.verify, self.plan.parties[party])
            )
            for party, envelope in found.items()
            if envelope is not None
        }
        refuses = 1.0 if candidate.metrics is None else self.world.scenario.gate_refuses
        passed = self.world.random.random() >= refuses
        gate = GateResult(passed=passed, reasons=("drawn: passed." if passed else "drawn: refused.",))
        dropped = None if passed else self._worst(self._state.decision)
        return Verdict(candidate.round, evaluations, candidate.metrics, gate, dropped)

    def _worst(self, decision: Decision) -> str | None:
        """Whom a refused round drops: drawn, so that two coordinators may differ in it."""
        if not may_drop(self.plan.recipe, self.plan.parties, self._state.records, decision):
            return None
        return self.world.random.choice([update.party for update in decision.accepted])

    def _look_after(self, party: str) -> str | None:
        """Start a session again that died or left; the code of one that is lost for this round."""
        process = self.world.sessions.get(party)
        code = process.error.code if process and process.error else ""
        fate = session_fate(process.state if process else None, code)
        known = self.restarts.get(party, Restarts())
        number = self._state.open_round
        self.restarts[party], deed = after_look(known, fate, number, self._clock())
        if deed == "start":
            self.world.start_session(party)
        if deed != "give-up":
            return None
        return {"cancelled": "session-cancelled", "refused": code}.get(fate, code_of_death(code))

    def _before(self, announcement: Announcement) -> Story:
        return (yield from read(round_key(RUN, announcement.round - 1, "announcement")))

    def _key(self, message: str) -> str:
        return round_key(RUN, self._state.open_round, message)

    def _clock(self) -> float:
        return self.world.now * self.clock_rate

    def _elapsed(self) -> float:
        return self._clock() - self.announced_at

    clock_rate = 1.0


def is_pinned(content: bytes, update: AcceptedUpdate) -> bool:
    """Whether these are the bytes that were admitted."""
    return sha256_hex(content) == update.update_sha256


def check_content(update: bytes | None, sha256: str) -> None:
    """What `check_update` says of bytes that stand for an update."""
    if update is None:
        raise UpdateRefused("The update is missing", code="update-missing")
    if sha256_hex(update) != sha256:
        raise UpdateRefused("Other bytes than the signed ones", code="update-hash-mismatch")
    if update.startswith(POISON):
        raise UpdateRefused("It holds NaN", code="update-not-finite")


def _refused(party: str, code: str, number: int | None = None) -> Collected:
    refusal = Refusal(party=party, code=code, reason=f"{party}: {code}", round=number)
    return Collected(party=party, refusal=refusal, round=number)


def _epoch_lost() -> RunConflict:
    return RunConflict("Another coordinator has taken over", code="epoch-lost")
