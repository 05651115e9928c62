"""What people would do around one run: start it, kill what is to be killed, resume what has ended, cancel."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fedmodels.protocol.messages import Closed, Decision, Head, Session
from fedmodels.protocol.restarts import UNKNOWN
from fedmodels.recipe import Recipe
from flows.following import api_url
from infra.deployments.looking import flow_run_state
from infra.deployments.starting import start_training
from infra.layout import closed_key, head_key, plan_key, round_key, session_key, update_key
from infra.waiting import wait_for
from tasks.coordinator.sessions import GONE
from tasks.exchange import read_message
from tests.faults.cancelling import Person
from tests.faults.points import CANCEL, COORDINATOR, Order
from tests.faults.proof import is_proved, lives
from tests.faults.stack import Range

RUN_TIMEOUT = 180.0
STUCK_TIMEOUT = 120.0
"""Seconds without a fault, a resume or a step of HEAD, after which a run is given up."""
END_TIMEOUT = 30.0
LOOK_SECONDS = 1.0
MOST_RESUMES = 4
OTHER_BYTES = b"what a party put in the place of its update"


class Operator:
    """One run: what was ordered for it, and its coordinators so far."""

    def __init__(self, place: Range, run: str, recipe: Recipe, orders: list[Order]) -> None:
        self._place, self.run = place, run
        self._recipe = recipe.model_dump(mode="json")
        self._api_url = api_url(place.home)
        self._store = place.store
        self.folder: Path = place.orders / run
        self.folder.mkdir()
        self.orders = orders
        document = json.dumps([order.document() for order in orders])
        (self.folder / "orders.json").write_text(document)
        self._flow_runs: list[str] = []
        self._looked = 0.0
        self._moved: tuple[float, object] = (time.monotonic(), None)
        self._pending = list(range(len(orders)))
        self._person = Person(place, run, self.folder)
        self._hanging: dict[int, tuple[int, int]] = {}
        """Order to epoch and round of HEAD when its process began to hang."""
        self.fired: dict[int, dict[str, Any]] = {}
        """Order to what the process that obeyed it wrote."""
        self.happened: dict[int, bool] = {}
        """Order to whether the store showed the same."""
        self._head_when_cancelled: bytes | None = None

    @property
    def resumes(self) -> int:
        return len(self._flow_runs) - 1

    def play(self, given_up: Callable[[], bool] = lambda: False) -> Closed | None:
        """From the start to the run's end; `None` when it came to none in time, or is given up."""
        self._start()
        timeout = RUN_TIMEOUT * max(1, len(self.orders))
        closed = wait_for(
            lambda: given_up() or self._look() or self._stuck(), timeout=timeout, longest_wait=0.15
        )
        if isinstance(closed, Closed):  # what a coordinator does last, it does when the run is closed
            wait_for(lambda: given_up() or self._nothing_comes(), timeout=END_TIMEOUT)
        for number in range(len(self.orders)):
            self._release(number)
        self._person.leave()
        return closed if isinstance(closed, Closed) else None

    def standing(self) -> str:
        """Where the run stands, for whoever has to find out why it ended nowhere."""
        epoch, number = self._place_of_head()
        return f"epoch {epoch}, round {number}, coordinators {self._states()}, fired {sorted(self.fired)}"

    def victims_ended(self) -> bool:
        """Whether every process that was hit is gone, after a while."""
        pids = {marker["pid"] for marker in self.fired.values()}
        return bool(wait_for(lambda: not any(map(lives, pids)), timeout=END_TIMEOUT))

    def head_stayed(self) -> bool:
        """Whether HEAD is what it was when a person began to cancel, once no coordinator can move it."""
        ended = wait_for(lambda: all(state in GONE for state in self._states()), timeout=END_TIMEOUT)
        return bool(ended) and self._store.read(head_key(self.run)) == self._head_when_cancelled

    def _start(self) -> None:
        known = self._store.exists(plan_key(self.run))
        self._flow_runs.append(start_training(self._recipe, self.run, resume=known, api_url=self._api_url))
        self._looked = time.monotonic()

    def _look(self) -> Closed | None:
        self._serve_orders()
        self._release_overtaken()
        if closed := read_message(self._store, closed_key(self.run), Closed):
            return closed
        if self._person.gave_up:
            self._person.cancel()
        if time.monotonic() - self._looked > LOOK_SECONDS and self.resumes < MOST_RESUMES + len(self.orders):
            self._looked = time.monotonic()
            if all(state in GONE for state in self._states()):
                if closed := read_message(self._store, closed_key(self.run), Closed):
                    return closed  # since it was looked for above
                self._start()
        return None

    def _nothing_comes(self) -> bool:
        """Whether no order is left, or nobody who could come to its point."""
        waited_for = {self.orders[number].role for number in self._pending} - {COORDINATOR}
        over = all(state in GONE for state in (*self._states(), *map(self._session_state, waited_for)))
        over = over and self._person.is_idle
        self._serve_orders()
        return over or not self._pending

    def _states(self) -> list[str | None]:
        return [flow_run_state(flow_run, api_url=self._api_url) for flow_run in self._flow_runs]

    def _session_state(self, party: str) -> str | None:
        """Of the session that holds the party's lease: it ends some moments after the coordinator."""
        lease = read_message(self._store, session_key(party, self.run), Session)
        return flow_run_state(lease.session, api_url=self._api_url) if lease else UNKNOWN

    def _stuck(self) -> bool:
        """Whether nothing has moved for too long.

        A coordinator that waits for a place on its pool is not stuck: the hanging ones of other runs have it.
        """
        since, before = self._moved
        now = (len(self.fired), self.resumes, self._place_of_head())
        if now == before and time.monotonic() - since <= STUCK_TIMEOUT:
            return False
        if now == before and "SCHEDULED" not in self._states():
            return True
        self._moved = (time.monotonic(), now)
        return False

    def _serve_orders(self) -> None:
        """Act on what has just fired: prove it, then kill, or note that it hangs."""
        for number in list(self._pending):
            path = self.folder / f"fired-{number}.json"
            if path.exists():
                self._pending.remove(number)
                self._serve(number, json.loads(path.read_text()))

    def _serve(self, number: int, marker: dict[str, Any]) -> None:
        order = self.orders[number]
        self.fired[number] = marker
        self.happened[number] = is_proved(marker, self._store, self._place.home)
        match order.action:
            case "kill":
                with suppress(ProcessLookupError):
                    os.kill(marker["pid"], signal.SIGKILL)
            case "hang":
                self._hanging[number] = self._place_of_head()
            case "error" | "clock":
                self._release(number)
            case "take back":
                self._take_back(order.round)
                self._release(number)
            case "cancel":
                self._hanging[number] = self._place_of_head()
                self._head_when_cancelled = self._store.read(head_key(self.run))
                self._person.cancel()
        if order.role == COORDINATOR and order.action in ("kill", "hang"):
            self._replace(order)

    def _replace(self, order: Order) -> None:
        """What a person does who sees nothing move: resume beside a coordinator, or cancel once more."""
        if self._store.exists(closed_key(self.run)):
            return
        if order.step == CANCEL:
            self._person.cancel()
        else:
            self._start()

    def _take_back(self, number: int | None) -> None:
        """Put something else at the key of the last update that a round counts, as its party can.

        Where it was deleted, the party would put it again: it looks for its update once more.
        """
        assert number is not None
        decision = read_message(self._store, round_key(self.run, number, "decision"), Decision)
        assert decision is not None
        party, sha256 = decision.accepted[-1].party, decision.accepted[-1].update_sha256
        self._place.stores[party].put_blob(update_key(party, sha256), OTHER_BYTES)

    def _release_overtaken(self) -> None:
        """Let go on what hangs, once the run has gone on without it."""
        for number, (epoch, closed_rounds) in list(self._hanging.items()):
            now = self._place_of_head()
            role = self.orders[number].role
            overtaken = now[0] > epoch if role == COORDINATOR else now[1] > max(closed_rounds, 0)
            if overtaken or self._store.exists(closed_key(self.run)):
                self._release(number)
                del self._hanging[number]

    def _place_of_head(self) -> tuple[int, int]:
        head = read_message(self._store, head_key(self.run), Head)
        return (head.epoch, head.round) if head else (-1, -1)

    def _release(self, number: int) -> None:
        (self.folder / f"released-{number}").touch()
