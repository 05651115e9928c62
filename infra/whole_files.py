"""What a person asked for: files and folders, whole or not at all, checked before long work begins."""

import errno
import filecmp
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

from fedmodels.errors import InputError
from fedmodels.full_disk import full_disk_told

_PART = ".part"
_A_DAY_S = 86400.0
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}


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


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Make `folder` whole or not at all: the body fills a neighbour, which takes the name at the end.

    What stood there goes, unless it is the same: somebody may read it. Several may make the same folder at
    once. A neighbour that was left by a process which was killed goes when the folder is made a day later.

    Raises:
        InputError: the disk is full.
    """
    folder = folder.resolve()  # what a link points to is made, and the link stays
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in parts_left(folder):
        shutil.rmtree(left, ignore_errors=True)
    part = _neighbour(folder)
    part.mkdir()
    try:
        with full_disk_told(folder.name):
            yield part
        _take_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder: whoever reads it finds it whole or not at all. What `parts_left` finds goes, too."""
    aside = _neighbour(folder)
    with suppress(FileNotFoundError):
        folder.rename(aside)
    for path in (aside, *parts_left(folder)):
        shutil.rmtree(path, ignore_errors=True)


def parts_left(folder: Path) -> list[Path]:
    """Neighbours, a day old at least, of a process that was killed while it made or removed `folder`."""
    left = []
    for path in sorted(folder.parent.glob(f".{escape(folder.name)}.*{_PART}")):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _A_DAY_S:
                left.append(path)
    return left


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


def check_folder_target(target: Path, marks: Collection[str], what: str) -> None:
    """See that `whole_folder` could make `target`, and that only such a folder would go for it.

    Args:
        target: the folder.
        marks: files by which one that was made before is known.
        what: such a folder holds: `model`.

    Raises:
        InputError: something else stands there (`folder-taken`), or it cannot be made (`target-unusable`).
    """
    if not target.exists():
        check_place(target)
        return
    if not target.is_dir():
        raise InputError(f"{target} is a file", fix="choose another folder", code="folder-taken")
    if any(target.iterdir()) and not all((target / name).exists() for name in marks):
        raise InputError(
            f"The folder {target} is not empty and holds no {what}",
            fix="choose another folder",
            code="folder-taken",
        )


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


def _neighbour(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{uuid4().hex}{_PART}")


def _same_folder(one: Path, other: Path) -> bool:
    """Whether two folders of plain files hold the same bytes under the same names."""
    try:
        names, others = ({path.name for path in folder.iterdir()} for folder in (one, other))
        return names == others and filecmp.cmpfiles(one, other, names, shallow=False)[1:] == ([], [])
    except OSError:  # it is not there, or goes meanwhile
        return False


def _take_place(part: Path, folder: Path) -> None:
    """Rename `part`; a folder cannot take the place of one that is not empty, so that one steps aside."""
    aside, done = _neighbour(folder), False
    while not (done or _same_folder(part, folder)):
        with suppress(FileNotFoundError):
            folder.rename(aside)
        try:
            part.rename(folder)
            done = True
        except OSError as error:
            if error.errno not in _TAKEN:  # if it was taken, another process made it in this moment
                with suppress(OSError):
                    aside.rename(folder)
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _unusable(path: Path, reason: str, fix: str = "choose another place") -> InputError:
    return InputError(f"{path} cannot be written: {reason}", fix=fix, code="target-unusable")
