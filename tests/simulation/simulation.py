"""A whole run under a seed: coordinators, parties, a person who resumes, and the checker of invariants."""

import random
from dataclasses import dataclass

from fedmodels.errors import QuorumMissed, TransientError
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.messages import Metrics, Receipt
from fedmodels.protocol.recording import closing
from infra.layout import closed_key, head_key
from tests.simulation.client import DAMAGED, create, read
from tests.simulation.coordinator import Coordinator
from tests.simulation.invariants import NAMED, Broken, Checker
from tests.simulation.party import Party
from tests.simulation.requests import Story
from tests.simulation.scenario import RUN, draw
from tests.simulation.world import Process, World

LONGEST = 6000.0
"""Seconds that a run may take once nothing fails any more: all its rounds, each to its last deadline."""
MOST_EVENTS = 60_000
SETTLED = 60.0
"""Seconds after the last fault until which a coordinator may still end with an error of the store's."""
YIELDING = frozenset({"epoch-lost", "run-closed", "run-exists"})
"""Codes with which a coordinator leaves the run to another one."""


@dataclass(frozen=True)
class Outcome:
    """How a seed ended: `finished`, `failed`, `cancelled` or `stopped`; simulated seconds, and events."""

    seed: int
    status: str
    seconds: float
    events: int
    rounds: int
    coordinators: int
    salvaged: int
    votes: int
    """Scores that stand in records."""
    damaged: int
    """Answers that arrived with a bit flipped, and objects that rotted."""
    stops_for_damage: int
    """Coordinators and sessions that ended and named an object that is damaged where it stands."""
    codes: frozenset[str]
    """Of all refusals."""


class Simulation(World):
    """The world of one seed."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        super().__init__(seed, trace=trace)
        self.seed = seed
        self.scenario = draw(seed, random.Random(f"scenario {seed}"))
        self.faults = self.scenario.faults
        self.sessions: dict[str, Process] = {}
        self.coordinators: list[Process] = []
        self.honest: set[str] = set()
        """Hashes of receipts that deserve to count."""
        self.opened: dict[bytes, Receipt] = _Opened(self)
        self.receipts: dict[str, Receipt] = {}
        self.votes: dict[tuple[str, int, str], Metrics] = {}
        """Party, round and candidate to the scores that the party signed."""
        self.checker = Checker(self)
        self.observe = self.checker.observe
        self.stopped: QuorumMissed | None = None
        self.stops_for_damage = 0
        self._alive = 0
        """Coordinators that run now."""

    def start_session(self, party: str) -> None:
        """What Prefect does when it is asked for a session of a party: nothing while one lives."""
        standing = self.sessions.get(party)
        if standing is not None and standing.state == "RUNNING":
            return
        for number in range(2 if self.scenario.habits[party] == "twin" else 1):
            process = self.start(
                f"{party}{'*' * number}", Party(self, party).tell(), self._session_ended, self.random.random()
            )
            if not number:
                self.sessions[party] = process

    def start_coordinator(self, *, resume: bool) -> None:
        """A person runs `fedcart train`, with `--resume` or without."""
        self.stopped = None
        name = f"coordinator {len(self.coordinators) + 1}"
        coordinator = Coordinator(self, name, resume=resume)
        process = self.start(name, coordinator.tell(), self._coordinator_ended)
        coordinator.clock_rate = process.clock
        self.coordinators.append(process)
        self._alive += 1

    def run(self) -> Outcome:
        """Let it happen until the run is over, and check it.

        Raises:
            Broken: an invariant does not hold.
        """
        self.start_coordinator(resume=False)
        for moment in self.scenario.second_coordinators:
            self.at(moment, self._resume_though_alive)
        if self.scenario.cancelled_at is not None:
            self.at(self.scenario.cancelled_at, self._cancel)
        while not self._is_over():
            if not self.step() or self.now > self.faults.quiet + LONGEST or self.events > MOST_EVENTS:
                raise Broken("never-stuck", f"{self.now:.0f} s, {self.events} events: {self._where()}")
        self.checker.finish()
        return self._outcome()

    def _is_over(self) -> bool:
        if self._alive:
            return False
        stays = self.stopped is not None and self.now > self.faults.quiet
        return stays or self.store.get(closed_key(RUN)) is not None

    def _coordinator_ended(self, process: Process) -> None:
        """A person looks now and then, and resumes what is neither closed nor conducted."""
        self._alive -= 1
        if isinstance(process.error, QuorumMissed):
            self.stopped = process.error
        elif self._stopped_for_damage(process):
            pass
        elif process.error is not None:
            passing = self.now < self.faults.quiet + SETTLED and isinstance(process.error, TransientError)
            if not passing and process.error.code not in YIELDING:
                raise Broken("never-stuck", f"{process.name} failed with {process.error.code}")
        self.at(self.now + self.random.uniform(1, 20), self._resume_if_needed)

    def _session_ended(self, process: Process) -> None:
        self._stopped_for_damage(process)

    def _stopped_for_damage(self, process: Process) -> bool:
        """Whether it did; then a person restores what it named, some time later."""
        error = process.error
        if error is None or error.code != DAMAGED:
            return False
        self.checker.check_stop(process.name, error)
        self.stops_for_damage += 1
        if named := NAMED.search(error.sentence):
            self.at(self.now + self.random.uniform(0, 15), self._restore, named[1])
        return True

    def _restore(self, key: str) -> None:
        self.note(f"person: restores {key}")
        self.store.restore(key, self.now)

    def _resume_if_needed(self) -> None:
        stays = self.stopped is not None and self.now > self.faults.quiet
        if not self._alive and not stays and self.store.get(closed_key(RUN)) is None:
            self.start_coordinator(resume=True)

    def _resume_though_alive(self) -> None:
        if self.store.get(head_key(RUN)) is not None and self.store.get(closed_key(RUN)) is None:
            self.start_coordinator(resume=True)

    def _cancel(self) -> None:
        self.start("person", self._cancelling(), lambda _process: None)

    def _cancelling(self) -> Story:
        head = yield from read(head_key(RUN))
        if head is not None:
            yield from create(closed_key(RUN), closing(head, (), "cancelled", "", "a person said so", 0.0))

    def _where(self) -> str:
        head = self.checker.head
        states = ", ".join(f"{process.name} {process.state.lower()}" for process in self.coordinators[-3:])
        return f"HEAD at round {head.round if head else '-'}; {states}"

    def _outcome(self) -> Outcome:
        closed, head = self.store.get(closed_key(RUN)), self.checker.head
        counted = self.checker.counted.items()
        return Outcome(
            seed=self.seed,
            status=closed.value.status if closed else "stopped",
            seconds=self.now,
            events=self.events,
            rounds=head.round if head else 0,
            coordinators=len(self.coordinators),
            votes=self.checker.votes,
            damaged=self.damaged,
            stops_for_damage=self.stops_for_damage,
            salvaged=sum(number != decided for (number, _), decided in counted),
            codes=frozenset(self.checker.codes),
        )


class _Opened(dict[bytes, Receipt]):
    """Receipts by their envelopes; also found by the envelope's hash."""

    def __init__(self, world: Simulation) -> None:
        super().__init__()
        self._world = world

    def __setitem__(self, envelope: bytes, receipt: Receipt) -> None:
        super().__setitem__(envelope, receipt)
        self._world.receipts[sha256_hex(envelope)] = receipt
