"""What a warm party session keeps between rounds.

Neither a dataclass nor a pydantic model: Prefect walks into those when a task is called, and this holds
rows and weights, which must stay here.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.errors import FedcartError, InputError
from fedmodels.protocol.messages import ChampionScore, DataReport, Plan
from infra.keys import PrivateKey, role_key
from infra.object_store import ObjectStore
from infra.settings import Settings, Tables, party_tables
from infra.stores import store_for_looks, store_from_settings
from infra.versioning.remote import remote_of
from tasks.party.contract import Terms
from tasks.party.told_withdrawals import Notices
from tasks.party.versions.desk import VersionDesk
from tasks.party.withdrawn import read_withdrawn, withdrawn_file
from tasks.round_folder import WithOwnFolder

if TYPE_CHECKING:
    from fedmodels.data.prepared import LabelledTexts, PreparedTables
    from fedmodels.data.versions import PinnedVersion
    from fedmodels.data.withdrawn import Withdrawn
    from fedmodels.workbench import Workbench
    from tasks.party.kept_contract import ContractCheck
    from tasks.party.versions.bringing_back import BroughtBack
    from tasks.party.versions.pushing import Pushing

VERSIONS_PATIENCE_S = 5.0
"""A session waits so long for somebody else who pins or pushes, then goes on without a version: its round
waits for it."""


class PartySession(WithOwnFolder):
    """One party in one run: its identity, its folder, and what it would be slow to load again."""

    def __init__(self, run: str, settings: Settings) -> None:
        super().__init__(settings.workspace / "runs" / run)
        self.run = run
        self.party = settings.role
        self.threads = settings.torch_threads
        self.poll_seconds = settings.poll_seconds
        self.store: ObjectStore = store_from_settings(settings)
        self.store_for_looks: ObjectStore = store_for_looks(settings)
        """The same, for what a training step asks: it waits for no answer."""
        self.signing_key: PrivateKey = role_key(settings.signing_key, settings.role)
        self.workspace: Path = settings.workspace
        self.cache: Path = settings.workspace / "cache"
        self.policy = settings.policy
        self._tables = settings.tables
        self.brought_back: BroughtBack | None = None
        """Tables of an earlier version, on which this run is to be trained as the one was that it repeats."""
        self.versions = VersionDesk(
            self.party, self.workspace, remote_of(settings, self.party), patience=VERSIONS_PATIENCE_S
        )
        self.pinned: PinnedVersion | None = None
        """The version of the tables that the prepared rows come from, where one is kept."""
        self.pushing: Pushing | None = None
        self.plan: Plan | None = None
        self.plan_sha256: str | None = None
        self.predecessor: str | None = None
        """The session that had the party's lease when this one began, until this one takes it."""
        self.workbench: Workbench | None = None
        self.prepared: PreparedTables | None = None
        self.left_out = ""
        """Names the withdrawn rows without which the prepared ones are."""
        self.notices: Notices = {}
        """What the party has told of withdrawals, as far as this session has read it."""
        self.data_hash = ""
        """Of the prepared training rows, under the party's own key."""
        self.report: DataReport | None = None
        self.refused: FedcartError | None = None
        self.contract_key: str | None = None
        """Hash of all that decides the contract's verdict, made before the tables were read."""
        self.contract: ContractCheck | None = None
        self.fingerprint: tuple[tuple[int, int], ...] | None = None
        self.champion_score: tuple[LabelledTexts, ChampionScore] | None = None
        """The last scores of a champion, and the holdout that they are of."""
        self.seconds: dict[str, float] = {}
        self.compute: list[tuple[float, float]] = []
        self.bytes_down = 0
        self.bytes_ahead = 0
        """Fetched while joining, for the first round to count."""

    @property
    def joined_plan(self) -> Plan:
        """The plan, once `join_run` has read it."""
        if self.plan is None:
            raise InputError("The session has not joined its run", fix="call join_run first")
        return self.plan

    @property
    def tables(self) -> Tables:
        """The party's own tables for the recipe of this run, or those of the version that it repeats.

        Raises:
            InputError: the party's settings name none.
        """
        live = party_tables(self._tables, self.joined_plan.recipe.name, self.party)
        return self.brought_back.tables(live) if self.brought_back else live

    @property
    def has_tables(self) -> bool:
        """Whether the party's settings name a table for the recipe of this run."""
        found = self._tables.get(self.joined_plan.recipe.name)
        return found is not None and found.train is not None

    @property
    def terms(self) -> Terms:
        """The contract of this run, and the tables that it is about."""
        return Terms(self.joined_plan.recipe, self.joined_plan.labels, self.tables, self.withdrawn)

    @property
    def withdrawn(self) -> "Withdrawn":
        """Rows of the recipe that their owners took back.

        Raises:
            DataRefused: `withdrawn-damaged`.
        """
        told = self.policy.tell_withdrawn
        return read_withdrawn(self.workspace, self.joined_plan.recipe.name, told=told)

    def table_fingerprint(self) -> tuple[tuple[int, int], ...]:
        """Size and time of change of the party's tables, its expectations, and its list of withdrawn rows.

        Equal means that nothing was rewritten.
        """
        tables, withdrawn = self.tables, withdrawn_file(self.workspace, self.joined_plan.recipe.name)
        files = (tables.train, tables.holdout, tables.fresh, tables.expectations, withdrawn)
        paths = [path for path in files if path]
        return tuple(
            (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (0, 0) for path in paths
        )

    def begin_round(self) -> None:
        """Forget the measurements of the round before."""
        self.seconds, self.compute = {}, []
        self.bytes_down, self.bytes_ahead = self.bytes_ahead, 0

    def compute_before_now(self) -> tuple[tuple[float, float], ...]:
        """Training and evaluation intervals of this round, as seconds before this moment."""
        now = time.perf_counter()
        return tuple((round(now - begin, 3), round(max(0.0, now - end), 3)) for begin, end in self.compute)
