"""Files that a person asked for: written whole or not at all, and checked before long work begins."""

import os
from pathlib import Path
from uuid import uuid4

from fedmodels.errors import InputError
from fedmodels.full_disk import full_disk_told


def write_whole(path: Path, text: str) -> None:
    """Replace `path` by `text`, which keeps its line ends; a crash leaves the old content or the new.

    What is no plain file, like `/dev/stdout` or a pipe, cannot be replaced and is written to.

    Raises:
        InputError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8", newline="")
        return
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with full_disk_told(path.name):
            part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_file_target(path: Path) -> None:
    """See that `write_whole` could write to `path`.

    Its folder must be there: what is made silently for a misspelt one is looked for elsewhere.

    Raises:
        InputError: it is a folder, has none to lie in, or cannot be made where it is (`target-unusable`).
    """
    if path.is_dir():
        raise _unusable(path, "it is a folder")
    if path.is_file() and not os.access(path, os.W_OK):
        raise _unusable(path, "permission denied")
    if not path.parent.exists():
        raise _unusable(path, f"there is no folder {path.parent}", "make it, or choose another place")
    if not path.exists():
        check_place(path)


def check_place(path: Path) -> None:
    """See that something could be made at `path`, which is not there yet.

    Raises:
        InputError: what stands above it is no folder, or may not be written to (`target-unusable`).
    """
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise _unusable(path, f"{above} is no folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise _unusable(path, f"permission denied in {above}")


def _unusable(path: Path, reason: str, fix: str = "choose another place") -> InputError:
    return InputError(f"{path} cannot be written: {reason}", fix=fix, code="target-unusable")
