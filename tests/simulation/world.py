"""One random event queue in which everything happens: requests, crashes, timers. Same seed, same story.

A process is a generator that yields requests. Between a request and its effect, between the effect and
the answer, and while it sleeps, anything may happen to it; nothing else is concurrent.
"""

import heapq
import math
import random
from collections.abc import Callable
from typing import Any

from fedmodels.errors import FedcartError, StoreBusy, StoreUnavailable
from infra.layout import parties_prefix, runs_prefix
from tests.simulation.requests import (
    Age,
    Crash,
    Delete,
    Faults,
    Get,
    Put,
    Request,
    Sleep,
    Story,
    Watch,
)
from tests.simulation.store_model import Lost, Stored, StoreModel, damaged

WRITES_FAIL, READS_FAIL = 4.0, 0.5
"""How much more, or less, often than `Faults` says: most of what can go wrong is in the writes."""


class Process:
    """A running generator; `state` is what Prefect would say of it."""

    __slots__ = ("clock", "error", "name", "on_end", "state", "story", "watching", "won")

    def __init__(self, name: str, story: Story, clock: float, on_end: Callable[["Process"], None]) -> None:
        self.name, self.story, self.clock, self.on_end = name, story, clock, on_end
        self.state = "RUNNING"
        self.error: FedcartError | None = None
        self.won: Any = None
        self.watching = 0


class World:
    """The store, the queue and the processes; `observe` is told of every object that changes."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.store = StoreModel()
        self.faults = Faults()
        self.events = 0
        self.damaged = 0
        self.story: list[str] | None = [] if trace else None
        self.observe: Callable[[str, Any, float], None] = lambda _key, _value, _issued: None
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._watchers: dict[str, list[tuple[Process, int]]] = {}

    def note(self, text: str) -> None:
        """A line of the trace."""
        if self.story is not None:
            self.story.append(f"{self.now:8.2f}  {text}")

    def at(self, time: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call later."""
        self._number += 1
        heapq.heappush(self._queue, (time, self._number, call, arguments))

    def start(
        self, name: str, story: Story, on_end: Callable[[Process], None], delay: float = 0.0
    ) -> Process:
        """Start a process whose clock runs up to a tenth too fast or too slow."""
        process = Process(name, story, self.random.uniform(0.9, 1.1), on_end)
        self.at(self.now + delay, self._go_on, process)
        return process

    def step(self) -> bool:
        """Let the next event happen; `False` when there is none."""
        if not self._queue:
            return False
        self.now, _, call, arguments = heapq.heappop(self._queue)
        self.events += 1
        call(*arguments)
        return True

    def kill(self, process: Process) -> None:
        """SIGKILL: whatever it has asked for may still happen, but it will not hear of it."""
        if process.state == "RUNNING":
            self._end(process, "CRASHED")

    def _end(self, process: Process, state: str) -> None:
        process.state = state
        process.watching += 1
        self.note(f"{process.name}: {state.lower()} {process.error or process.won or ''}")
        process.story.close()
        process.on_end(process)

    def _go_on(self, process: Process, value: Any = None, error: Exception | None = None) -> None:
        if process.state != "RUNNING":
            return
        try:
            request = process.story.throw(error) if error else process.story.send(value)
        except StopIteration as end:
            process.won = end.value
            self._end(process, "COMPLETED")
        except FedcartError as failure:
            process.error = failure
            self._end(process, "FAILED")
        else:
            self._issue(process, request)

    def _issue(self, process: Process, request: Request) -> None:
        if isinstance(request, Sleep):
            self.at(self.now + request.seconds / process.clock, self._go_on, process)
        elif isinstance(request, Watch):
            self._watch(process, request)
        elif isinstance(request, Crash):
            self.at(self.now, self.kill, process)
        else:
            self._send(process, request)

    def _watch(self, process: Process, request: Watch) -> None:
        process.watching += 1
        token = process.watching
        for key in request.keys:
            self._watchers.setdefault(key, []).append((process, token))
        self.at(self.now + max(0.0, request.seconds) / process.clock, self._wake, process, token)

    def _wake(self, process: Process, token: int) -> None:
        if process.watching == token:
            process.watching += 1
            self._go_on(process)

    def _send(self, process: Process, request: Request) -> None:
        """Draw the fate of a request to the store."""
        draw, faults = self.random.random, self.faults
        issued, arrives = self.now, self.now + 0.005 + 0.05 * draw()
        fate = draw() if self.now < faults.quiet else math.inf
        fate /= WRITES_FAIL if isinstance(request, Put) else READS_FAIL
        if isinstance(request, Get) and (fate := fate - faults.damaged) < 0:
            self.at(arrives, self._answer_damaged, process, request)
        elif (fate := fate - faults.crash) < 0:
            outcome = draw()  # nothing arrived; it did; or it is still on its way when the next one begins
            if outcome < 0.6:
                delay = 0.0 if outcome < 0.3 else 30.0 * draw()
                self.at(arrives + delay, self._apply, process, request, issued)
            self.at(arrives + 1e-6, self.kill, process)
        elif (fate := fate - faults.busy) < 0:
            self.at(arrives, self._go_on, process, None, StoreBusy("The store is busy"))
        elif (fate := fate - faults.lost_request) < 0:
            self.at(arrives + 2.0, self._go_on, process, None, StoreUnavailable("No answer"))
        elif (fate := fate - faults.lost_answer) < 0:  # the client's own retry asks again
            self.at(arrives, self._apply, process, request, issued)
            self.at(arrives + 2.0, self._answer, process, request, issued)
        elif (fate := fate - faults.late_copy) < 0:  # the retry overtakes the first copy
            self.at(arrives + 2.0, self._answer, process, request, issued)
            self.at(arrives + 2.0 + 20.0 * draw(), self._apply, process, request, issued)
        elif (fate := fate - faults.slow) < 0:
            self.at(arrives + 15.0 * draw(), self._answer, process, request, issued)
        else:
            self.at(arrives, self._answer, process, request, issued)

    def _answer(self, process: Process, request: Request, issued: float) -> None:
        try:
            value = self._do(process, request, issued)
        except Lost as lost:
            self._go_on(process, None, lost)
        else:
            self._go_on(process, value)

    def _answer_damaged(self, process: Process, request: Get) -> None:
        found = self.store.get(request.key)
        self.damaged += found is not None
        self._go_on(process, None if found is None else damaged(found, self.damaged))

    def _perhaps_rot(self, key: str) -> None:
        often = self.faults.decaying if key.startswith(runs_prefix()) else 0.0
        if key.startswith(parties_prefix()):
            often = self.faults.rotten
        rotten = often if self.now < self.faults.quiet else 0.0
        if rotten and self.random.random() < rotten:
            self.at(self.now + 10.0 * self.random.random(), self._rot, key)

    def _rot(self, key: str) -> None:
        self.note(f"the store: {key} rots")
        self.damaged += 1
        self.store.rot(key)

    def _apply(self, process: Process, request: Request, issued: float) -> None:
        """The effect of a request whose answer nobody hears."""
        try:
            self._do(process, request, issued)
        except Lost:
            return

    def _do(self, process: Process, request: Request, issued: float) -> Stored | int | float | None:
        match request:
            case Get(key):
                return self.store.get(key)
            case Age(key):
                return self.store.age(key, self.now)
            case Delete(key):
                self.store.delete(key)
                self.note(f"{process.name}: deletes {key}")
                return None
            case Put(key, value, condition):
                version = self.store.put(key, value, condition, self.now)
                if self.story is not None:
                    self.note(f"{process.name}: puts {key} {_short(value)}")
                self.observe(key, value, issued)
                self._perhaps_rot(key)
                for watcher, token in self._watchers.pop(key, ()):
                    self.at(self.now + 0.3 * self.random.random(), self._wake, watcher, token)
                return version
        raise AssertionError(request)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 160 else f"{text[:157]}..."
