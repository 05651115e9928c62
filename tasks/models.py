"""Global models in a process: published ahead of time, fetched once, and kept while they are needed.

A process keeps the models that it works with as files, named by their hash, in a folder of the run. What was
made here is moved there and never fetched again.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fedmodels.errors import TransientError
from infra.fault_points import fault_effect
from infra.layout import model_key
from infra.object_store import ObjectStore


def fetch_model(store: ObjectStore, sha256: str, folder: Path) -> tuple[Path, int]:
    """A local copy of a global model, fetched once; returns its path and the bytes that travelled."""
    path = model_file(folder, sha256)
    if path.exists():
        return path, 0
    return path, store.download(model_key(sha256), path, sha256)


@fault_effect
def adopt_model(path: Path, sha256: str, folder: Path) -> Path:
    """Move a model that was made here to where `fetch_model` finds it; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return path.replace(model_file(folder, sha256))


@fault_effect
def forget_models(folder: Path, *, keep: frozenset[str]) -> None:
    """Remove the local copies of all models but those of these hashes."""
    for path in folder.glob("*.safetensors"):
        if path.stem not in keep:
            path.unlink()


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

    def _upload(self, path: Path, sha256: str) -> int:
        return self._store.upload(model_key(sha256), path, sha256)
