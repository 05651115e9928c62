"""Global models in a process: published ahead of time, fetched once, and kept while they are needed.

A process keeps the models that it works with as files, named by their hash, in a folder of its own. What was
made here is moved there and never fetched again.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fedmodels.errors import TransientError
from fedmodels.protocol.messages import Plan, Record, StartingModel
from infra.fault_points import fault_effect
from infra.file_hash import file_sha256
from infra.layout import model_key, plan_key, round_key
from infra.object_store import ObjectStore
from tasks.exchange import read_message

Identity = tuple[int, int, int]
"""Inode, size and time of the last change: a file with the same is the one that was hashed."""
_SOUND: set[Identity] = set()
"""Files that this process hashed, or wrote and hashed on the way."""


def fetch_model(store: ObjectStore, sha256: str, folder: Path) -> tuple[Path, int]:
    """A local copy of a global model, fetched once; returns its path and the bytes that travelled.

    A copy that is there is hashed before this process uses it for the first time: an earlier process made
    it, and what lies on a disk may be damaged. One that is, is fetched again.
    """
    path = model_file(folder, sha256)
    if path.exists() and _is_sound(path, sha256):
        return path, 0
    travelled = store.download(model_key(sha256), path, sha256)
    _SOUND.add(_identity(path))
    return path, travelled


@fault_effect
def adopt_model(path: Path, sha256: str, folder: Path) -> Path:
    """Move a model that was made here to where `fetch_model` finds it; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    adopted = path.replace(model_file(folder, sha256))
    _SOUND.add(_identity(adopted))
    return adopted


def _is_sound(path: Path, sha256: str) -> bool:
    if _identity(path) not in _SOUND:
        if file_sha256(path) != sha256:
            return False
        _SOUND.add(_identity(path))
    return True


def _identity(path: Path) -> Identity:
    stands = path.stat()
    return stands.st_ino, stands.st_size, stands.st_mtime_ns


@fault_effect
def forget_models(folder: Path, *, keep: frozenset[str]) -> None:
    """Remove the local copies of all models but those of these hashes."""
    for path in folder.glob("*.safetensors"):
        if path.stem not in keep:
            path.unlink(missing_ok=True)


def model_file(folder: Path, sha256: str) -> Path:
    """Where the local copy of a model lies, if there is one."""
    return folder / f"{sha256}.safetensors"


class Publisher:
    """Puts global models into the store, one of them while it is still being scored.

    What is published ahead may turn out not to be wanted: it is content-addressed, nothing refers to it
    then, and the sweep removes it.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._ahead: dict[str, Future[int]] = {}

    def publish_ahead(self, path: Path, sha256: str) -> None:
        """Begin to upload `path`, which must stay as it is until `publish` is called."""
        self._ahead = {sha256: self._thread.submit(self._upload, path, sha256)}

    def publish(self, path: Path, sha256: str) -> None:
        """Have the model in the store: wait for the upload that was begun, else upload it now.

        Raises:
            TransientError: the store did not take it this time; the next call tries again.
        """
        begun = self._ahead.pop(sha256, None)
        if begun is not None and not isinstance(begun.exception(), TransientError):
            begun.result()
            return
        self._upload(path, sha256)

    def see_to(self, path: Path, sha256: str) -> None:
        """Once a message names the model: put it again if a sweep took it before it could know of that."""
        if not self._store.exists(model_key(sha256)):
            self._upload(path, sha256)

    def _upload(self, path: Path, sha256: str) -> int:
        return self._store.upload(model_key(sha256), path, sha256)


MODEL_GONE = "that model is gone"
"""Why a run cannot begin from a model whose run can be made again."""


def hindered_start(store: ObjectStore, plan: Plan, start: StartingModel) -> str:
    """Why a run cannot begin from an earlier run's model, as a clause; empty when it can.

    Raises:
        IntegrityError: a message of the earlier run is damaged.
    """
    earlier = read_message(store, plan_key(start.run), Plan)
    record = read_message(store, round_key(start.run, start.round, "record"), Record)
    if earlier is None or record is None:
        return "that run is gone"
    if record.outcome != "passed" or record.model_sha256 != start.model_sha256:
        return "that round has left another model"
    made_of = (plan.architecture_sha256, plan.labels, plan.parameters)
    if (earlier.architecture_sha256, earlier.labels, earlier.parameters) != made_of:
        return "the recipe builds another model now, or chooses between other labels"
    return "" if store.exists(model_key(start.model_sha256)) else MODEL_GONE
