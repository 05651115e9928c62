"""What the coordinator's process keeps while it conducts a run.

Neither a dataclass nor a pydantic model, for the reason given in `tasks/party/session.py`.
"""

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from fedmodels.errors import RunConflict, RunError
from fedmodels.protocol.messages import Closed, Head, Plan, Record, Session
from fedmodels.protocol.restarts import Restarts
from fedmodels.protocol.state import Found, RunState, advance
from infra.lookout import Lookout
from infra.object_store import ObjectStore
from infra.settings import Settings, Tables
from infra.stores import store_for_looks, store_from_settings
from tasks.models import Publisher
from tasks.round_folder import WithOwnFolder

if TYPE_CHECKING:
    from fedmodels.data.prepared import LabelledTexts
    from fedmodels.workbench import Workbench

LOOK_SECONDS = 1.0


class CoordinatorRun(WithOwnFolder):
    """One run, as its coordinator sees it."""

    def __init__(self, run: str, settings: Settings) -> None:
        super().__init__(settings.workspace / "runs" / run)
        self.run = run
        self.owner = uuid4().hex
        """Who this coordinator is: no other one has the name, not even for the same run."""
        self.home = settings.home
        self.workspace: Path = settings.workspace
        self.store: ObjectStore = store_from_settings(settings)
        self.store_for_looks: ObjectStore = store_for_looks(settings)
        """The same, for what is asked between steps: nobody waits for an answer."""
        self.publisher = Publisher(self.store)
        self.party_keys = dict(settings.party_keys)
        self.threads = settings.torch_threads
        self.poll_seconds = settings.poll_seconds
        self.cache: Path = settings.workspace / "cache"
        self.model_folders = settings.model_folders
        self.tables: dict[str, Tables] = settings.tables
        self.begin = time.perf_counter()
        self.round_began = self.begin
        """When the round before was closed: a round's wall time leaves nothing out."""
        self.sessions: dict[str, str] = {}
        """Party to the flow run of its session."""
        self.declined: dict[str, Session] = {}
        """Party to the lease in which it says why it does not take part."""
        self.restarts: dict[str, Restarts] = {}
        """Party to what became of its sessions in the open round."""
        self.watch = RoundWatch()
        self.interruption = Interruption()
        self.plan_sha256 = ""
        """Of the plan's bytes as they are stored: what each receipt has to state."""
        self._state: tuple[RunState, str] | None = None
        """What is known of the run, and the store's version of its HEAD."""
        self.workbench: Workbench | None = None
        self.progress_artifact: UUID | None = None
        self.sets: dict[str, LabelledTexts] = {}
        """The coordinator's own rows: `public`, `validation`, `holdout`."""

    @property
    def is_open(self) -> bool:
        """Whether the run was opened or resumed, so that its state is known."""
        return self._state is not None

    @property
    def state(self) -> RunState:
        """What is known of the run, once it was opened or resumed."""
        if self._state is None:
            raise RunError(f"The run {self.run} is not open", fix="open or resume it first")
        return self._state[0]

    @property
    def plan(self) -> Plan:
        """The run's plan."""
        return self.state.plan

    @property
    def head(self) -> Head:
        """HEAD as this coordinator last wrote or read it."""
        return self.state.head

    @property
    def records(self) -> list[Record]:
        """The closed rounds, in order."""
        return list(self.state.records)

    @property
    def head_version(self) -> str:
        """The store's version of HEAD, from which alone it may move."""
        assert self._state is not None
        return self._state[1]

    def hold(self, state: RunState, head_version: str) -> None:
        """Remember the run's state and its HEAD's version."""
        self._state = state, head_version

    def fold(self, found: Found) -> None:
        """Go on from a message that stands in the bucket now."""
        self.hold(advance(self.state, found), self.head_version)

    def fold_head(self, head: Head, version: str) -> None:
        """Go on from HEAD's new place."""
        self.hold(advance(self.state, head), version)


class Interruption:
    """Whether somebody else closed the run or took it over; shared by the threads that wait."""

    def __init__(self) -> None:
        self.lookout: Lookout[Closed | RunConflict] = Lookout(LOOK_SECONDS)
        self._lock = threading.Lock()
        self._found: Closed | RunConflict | None = None

    @property
    def found(self) -> Closed | RunConflict | None:
        """What was noted first."""
        return self._found

    def note(self, found: Closed | RunConflict | None) -> None:
        """Note what was found, unless something was noted before."""
        with self._lock:
            self._found = self._found or found


class RoundWatch:
    """The clock of one round: who arrived when, and in which intervals anybody computed.

    Shared by the threads that collect; all times are this process's `perf_counter`.

    Args:
        elapsed: seconds since the announcement, when an earlier coordinator wrote it.
        resumed: whether one did.
    """

    def __init__(self, elapsed: float = 0.0, *, resumed: bool = False) -> None:
        self._lock = threading.Lock()
        self.begin = time.perf_counter() - elapsed
        self.resumed_at = elapsed if resumed else None
        """When this coordinator had the round and could be answered, in seconds after the announcement."""
        self._arrived: dict[str, float] = {}
        self._refused: set[str] = set()
        self._intervals: list[tuple[float, float]] = []

    def elapsed(self) -> float:
        """Seconds since the round was announced."""
        return time.perf_counter() - self.begin

    def answerable(self) -> None:
        """Note that sessions can answer: the grace of a round that was taken over begins now, not before."""
        if self.resumed_at is not None:
            self.resumed_at = self.elapsed()

    def arrive(self, party: str, seconds_ago: float = 0.0) -> None:
        """Note that a party answered."""
        with self._lock:
            self._arrived.setdefault(party, max(0.0, self.elapsed() - seconds_ago))

    def refuse(self, party: str) -> None:
        """Note that what a party answered does not count."""
        with self._lock:
            self._refused.add(party)

    def refused(self) -> frozenset[str]:
        """Parties that answered, and do not help the quorum."""
        with self._lock:
            return frozenset(self._refused)

    def arrived(self) -> dict[str, float]:
        """Party to seconds after the announcement."""
        with self._lock:
            return dict(self._arrived)

    def computed(self, intervals: Iterable[tuple[float, float]]) -> None:
        """Note intervals of this process's clock."""
        with self._lock:
            self._intervals.extend(intervals)

    def computed_before_now(self, intervals: tuple[tuple[float, float], ...]) -> None:
        """Note intervals that a party gave as seconds before it submitted, which is about now."""
        now = time.perf_counter()
        self.computed([(now - begin, now - end) for begin, end in intervals])

    def intervals(self) -> list[tuple[float, float]]:
        """Everything noted so far."""
        with self._lock:
            return list(self._intervals)
