"""The coordinator of the simulation: the flow's loop over the same protocol, with requests for tasks.

It imports the protocol's functions by name, so that a mutation can replace one here.
"""

from typing import TYPE_CHECKING

from fedmodels.aggregation.fedavg import fedavg_weights
from fedmodels.errors import RunConflict
from fedmodels.protocol.chain import check_chain
from fedmodels.protocol.deciding import decide
from fedmodels.protocol.messages import (
    Announcement,
    Head,
    RoundSeconds,
)
from fedmodels.protocol.progress import is_taken, opening_head, refuse_closed, takeover
from fedmodels.protocol.recording import closing, record_of
from fedmodels.protocol.restarts import Restarts, after_look, code_of_death, session_fate
from fedmodels.protocol.state import RunState, advance
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
    head_key,
    plan_key,
    round_key,
)
from tests.simulation.client import (
    age,
    create,
    read,
    read_version,
    retried,
    swap,
)
from tests.simulation.collecting import collect, recall
from tests.simulation.proposing import judge, propose
from tests.simulation.requests import Story
from tests.simulation.scenario import RUN
from tests.simulation.store_model import Stored

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

SECONDS = RoundSeconds(total=0.0, train=0.0, overhead=0.0)


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
                yield from self.look()
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
                self.announced_at, self.resumed_at = self.clock(), None
                return (yield from create(self.key("announcement"), announcement))
            case Collect(announcement, late):
                return (yield from collect(self, announcement, late))
            case Decide(announcement, late):
                before = (yield from self.before(announcement)) if late else None
                weighting = self.plan.recipe.weighting
                decision = decide(
                    announcement,
                    self._state.collected.items,
                    lambda counts: fedavg_weights(counts, weighting),
                    self.plan.recipe,
                    records=self._state.records,
                    before=before,
                )
                return (yield from create(self.key("decision"), decision))
            case Recall(announcement, decision):
                return (yield from recall(self, announcement, decision))
            case Propose(decision):
                return (yield from propose(self, decision))
            case Judge(candidate, asked):
                return (yield from judge(self, candidate, asked))
            case Commit():
                return (yield from create(self.key("record"), record_of(self._state, SECONDS)))
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
            found = yield from read(self.key(kind))
            if found is not None:
                self._state = advance(self._state, found)
        if self._state.announcement is not None:
            elapsed = (yield from age(self.key("announcement"))) or 0.0
            self.announced_at, self.resumed_at = self.clock() - elapsed, elapsed

    def _read_head(self) -> Story:
        found: Stored | None = yield from read_version(head_key(RUN))
        assert found is not None
        self._version = found.version
        return found.value

    def _move_head(self, head: Head) -> Story:
        """Swap HEAD, unless the run was closed; looks again at every try."""
        if not (yield from self.look()):
            yield from self._swap_head(head)

    def _swap_head(self, head: Head) -> Story:
        if not (yield from swap(head_key(RUN), head, self._version)):
            raise _epoch_lost()
        if (yield from self._read_head()) != head:
            raise _epoch_lost()
        self._state = advance(self._state, head)

    def look(self) -> Story:
        """Fold a `closed.json`, or stop when another coordinator has taken over."""
        head = yield from read(head_key(RUN))
        closed = yield from read(closed_key(RUN))  # last: what comes next may be a swap of HEAD
        if closed is not None:
            self._state = advance(self._state, closed)
            return True
        if is_taken(self._state.head, head):
            raise _epoch_lost()
        return False

    def look_after(self, party: str) -> str | None:
        """Start a session again that died or left; the code of one that is lost for this round."""
        process = self.world.sessions.get(party)
        code = process.error.code if process and process.error else ""
        fate = session_fate(process.state if process else None, code)
        known = self.restarts.get(party, Restarts())
        number = self._state.open_round
        self.restarts[party], deed = after_look(known, fate, number, self.clock())
        if deed == "start":
            self.world.start_session(party)
        if deed != "give-up":
            return None
        return {"cancelled": "session-cancelled", "refused": code}.get(fate, code_of_death(code))

    def before(self, announcement: Announcement) -> Story:
        return (yield from read(round_key(RUN, announcement.round - 1, "announcement")))

    def key(self, message: str) -> str:
        return round_key(RUN, self._state.open_round, message)

    def clock(self) -> float:
        return self.world.now * self.clock_rate

    def elapsed(self) -> float:
        return self.clock() - self.announced_at

    clock_rate = 1.0


def _epoch_lost() -> RunConflict:
    return RunConflict("Another coordinator has taken over", code="epoch-lost")
