"""Small files that only their owner may read, replaced in one step."""

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmodels.full_disk import full_disk_told

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_private(path: Path, data: bytes | memoryview) -> None:
    """Replace `path` by `data`; a crash leaves the old content or the new, and mode 0600 throughout.

    Raises:
        InputError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with full_disk_told(path.name):
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


def make_private(folder: Path, below: Path) -> None:
    """Let only its owner open a folder, and all above it up to `below`, which stays as it is.

    Raises:
        ValueError: the folder is not below `below`; nothing was changed.
    """
    place, top = folder.resolve(), below.resolve()
    for depth in range(len(place.relative_to(top).parts)):
        (place, *place.parents)[depth].chmod(0o700)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """`write_private`, for one JSON object."""
    write_private(path, json.dumps(document, indent=2, sort_keys=True).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object at `path`, or `None` when there is none or it is garbled."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write_npz(path: Path, arrays: Mapping[str, "NDArray[Any]"]) -> None:
    """`write_private`, for numpy arrays by name, as `numpy.savez` writes them."""
    import numpy as np

    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # its own option has a name that no array has
    write_private(path, content.getvalue())


def read_npz(path: Path) -> dict[str, "NDArray[Any]"] | None:
    """The arrays at `path`, or `None` when there are none or they are garbled. Nothing of it is run."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
