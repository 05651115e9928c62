"""What the process keeps that makes one release.

Neither a dataclass nor a pydantic model, for the reason given in `tasks/party/session.py`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from infra.keys import ModelKey, PrivateKey, role_key, role_model_key
from infra.object_store import ObjectStore
from infra.settings import Settings, Tables, coordinator_table
from infra.stores import store_from_settings
from tasks.release.recording import Recorder, recorder_from_settings

if TYPE_CHECKING:
    from fedmodels.data.prepared import LabelledTexts


def form_key(release: int) -> str:
    """Key under which a flow run is suspended for the word on a release."""
    return f"approval-{release}"


class ReleaseDesk:
    """The coordinator's store, tables and folders, for releasing the model of one run."""

    def __init__(self, run: str, settings: Settings) -> None:
        self.run = run
        self.store: ObjectStore = store_from_settings(settings)
        self.signing_key: PrivateKey = role_key(settings.signing_key, settings.role)
        self.model_key: ModelKey = role_model_key(settings.model_signing_key, settings.role)
        self.tables: dict[str, Tables] = settings.tables
        self.party_keys = dict(settings.party_keys)
        self.recorder: Recorder = recorder_from_settings(settings, self.store, self.signing_key)
        self.threads = settings.torch_threads
        self.cache: Path = settings.workspace / "cache"
        self.folder: Path = settings.workspace
        """Below it, a model lies while it is loaded."""

    def own_set(self, recipe: str, name: str) -> "LabelledTexts":
        """One of the coordinator's sets.

        Raises:
            InputError: the coordinator's settings name no such table.
        """
        from fedmodels.data.prepared import read_prepared

        path = coordinator_table(self.tables, recipe, name)
        return read_prepared(path, f"coordinator's {name}")
