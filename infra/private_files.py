"""Small files that only their owner may read, replaced in one step."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from fedmodels.full_disk import full_disk_told


def write_private(path: Path, data: bytes) -> None:
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
