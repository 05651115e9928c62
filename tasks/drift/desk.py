"""What the process keeps that makes one drift check at a party.

Neither a dataclass nor a pydantic model, for the reason given in `tasks/party/session.py`.
"""

from pathlib import Path

from fedmodels.data.withdrawn import Withdrawn
from infra.keys import PrivateKey, role_key
from infra.object_store import ObjectStore
from infra.settings import Settings, Tables, party_tables
from infra.stores import store_from_settings
from tasks.party.kept_rows import drift_folder
from tasks.party.withdrawn import read_withdrawn


class DriftDesk:
    """One party's tables, folders and key, for checks of the rows of one recipe.

    Below `folder`, which nobody but the party's user may open:

        rows/HASH-REST/       rows that a model was trained on, see `tasks/party/kept_rows.py`
        references/KEY.json   what fresh rows are held against, and KEY.npz beside it
        checks.json           verdicts of the past, and windows.npz: which rows each of them saw
        models/               the champion
    """

    def __init__(self, recipe: str, settings: Settings) -> None:
        self.recipe = recipe
        self.party = settings.role
        self.store: ObjectStore = store_from_settings(settings)
        self.signing_key: PrivateKey = role_key(settings.signing_key, settings.role)
        self.policy = settings.policy
        self.threads = settings.torch_threads
        self.cache: Path = settings.workspace / "cache"
        self.folder: Path = drift_folder(settings.workspace, recipe)
        self.workspace: Path = settings.workspace
        self._tables = settings.tables

    @property
    def withdrawn(self) -> Withdrawn:
        """Rows of the recipe that their owners took back.

        Raises:
            DataRefused: `withdrawn-damaged`.
        """
        return read_withdrawn(self.workspace, self.recipe)

    @property
    def tables(self) -> Tables:
        """The party's own tables for the recipe.

        Raises:
            InputError: `table-missing`: the party's settings name none.
        """
        return party_tables(self._tables, self.recipe, self.party)
