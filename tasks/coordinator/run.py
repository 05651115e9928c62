"""What the coordinator's process keeps while it conducts a run.

Neither a dataclass nor a pydantic model, for the reason given in `tasks/party/session.py`.
"""

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from fedmodels.errors import RunError
from fedmodels.protocol.messages import Head, Plan, Record, Session
from infra.object_store import ObjectStore
from infra.settings import Settings, Tables
from infra.stores import store_from_settings
from tasks.models import Publisher
from tasks.round_folder import open_round_folder

if TYPE_CHECKING:
    from fedmodels.data.prepared import LabelledTexts
    from fedmodels.workbench import Workbench


class CoordinatorRun:
    """One run, as its coordinator sees it."""

    def __init__(self, run: str, settings: Settings) -> None:
        self.run = run
        self.home = settings.home
        self.store: ObjectStore = store_from_settings(settings)
        self.publisher = Publisher(self.store)
        self.party_keys = dict(settings.party_keys)
        self.threads = settings.torch_threads
        self.poll_seconds = settings.poll_seconds
        self.folder: Path = settings.workspace / "runs" / run
        self.models: Path = self.folder / "models"
        """Local copies of the global models that are needed now."""
        self.cache: Path = settings.workspace / "cache"
        self.model_folders = settings.model_folders
        self.tables: dict[str, Tables] = settings.tables
        self.begin = time.perf_counter()
        self.round_began = self.begin
        """When the round before was closed: a round's wall time leaves nothing out."""
        self.records: list[Record] = []
        self.sessions: dict[str, str] = {}
        """Party to the flow run of its session."""
        self.declined: dict[str, Session] = {}
        """Party to the lease in which it says why it does not take part."""
        self.watch = RoundWatch()
        self._plan: Plan | None = None
        self._head: tuple[Head, str] | None = None
        self.workbench: Workbench | None = None
        self.progress_artifact: UUID | None = None
        self.sets: dict[str, LabelledTexts] = {}
        """The coordinator's own rows: `public`, `validation`, `holdout`."""

    @property
    def plan(self) -> Plan:
        """The run's plan, once it was opened or resumed."""
        if self._plan is None:
            raise RunError(f"The run {self.run} is not open", fix="open or resume it first")
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan = plan

    @property
    def head(self) -> Head:
        """HEAD as this coordinator last wrote or read it."""
        if self._head is None:
            raise RunError(f"The run {self.run} is not open", fix="open or resume it first")
        return self._head[0]

    @property
    def head_version(self) -> str:
        """The store's version of that HEAD, from which alone it may move."""
        assert self._head is not None
        return self._head[1]

    def hold_head(self, head: Head, version: str) -> None:
        """Remember HEAD and its version."""
        self._head = head, version

    def round_folder(self, round_number: int) -> Path:
        """Where this round's intermediate files lie; the folders of earlier rounds are removed."""
        return open_round_folder(self.folder, round_number)


class RoundWatch:
    """The clock of one round: who arrived when, and in which intervals anybody computed.

    Shared by the threads that collect; all times are this process's `perf_counter`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin = time.perf_counter()
        self._arrived: dict[str, float] = {}
        self._refused: set[str] = set()
        self._intervals: list[tuple[float, float]] = []

    def elapsed(self) -> float:
        """Seconds since the round was announced."""
        return time.perf_counter() - self.begin

    def arrive(self, party: str) -> None:
        """Note that a party answered."""
        with self._lock:
            self._arrived.setdefault(party, self.elapsed())

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
