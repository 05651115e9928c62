"""A DVC repository of a party's own: table contents by hash, in its cache and at its remote.

The cache holds copies, or clones where the file system has them, never hard links: the party may rewrite its
table in place, and what was pinned must stay. Its folders are private, and so is what DVC keeps beside them,
which it would otherwise leave in a folder of the whole machine.

DVC takes a cached file for whole by its mode. Here it is hashed before it is pushed or brought back.
"""

import filecmp
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from fedmodels.errors import IntegrityError
from fedmodels.full_disk import full_disk_told
from infra.dvc import write_local_config
from infra.file_hash import file_md5
from infra.private_files import make_private, write_private
from infra.versioning.locks import busy, clear_stale_locks
from infra.versioning.remote import Remote, remote_told

REMOTE = "own"
CONFIG = f"""[core]
    analytics = false
    check_update = false
    autostage = false
    hardlink_lock = false
    remote = {REMOTE}
[cache]
    dir = cache
    type = "reflink,copy"
"""
IGNORED = {".gitignore": "/.state/\n", ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n"}
_SILENT = ("dvc", "dvc_data", "dvc_objects")
_PART = "pin-"


class TableCache:
    """The DVC repository at `root`; use `table_cache` to open it."""

    def __init__(self, root: Path, party: str, repo: Any) -> None:
        self.root = root
        self._party = party
        self._repo = repo
        self._odb = repo.cache.local

    def take_in(self, table: Path) -> Path:
        """Copy a table as it is now; what is hashed and kept later is this copy, whoever rewrites the table.

        Raises:
            InputError: the disk is full.
        """
        part = self.root / ".dvc" / "tmp" / f"{_PART}{uuid4().hex}{table.suffix}"
        with full_disk_told(part.name):
            _clone_or_copy(table, part)
        return part

    def keep(self, part: Path, md5: str) -> None:
        """Put a copy of `take_in` into the cache, and have it no more."""
        path = Path(self._odb.oid_to_path(md5))
        if path.exists() and not self.is_whole(md5):
            path.unlink()
        self._odb.add(str(part), _local(), md5, hardlink=True)  # a link to our own copy, which goes next
        part.unlink()
        make_private(path.parent, self.root)

    def is_whole(self, md5: str) -> bool:
        """Whether the cache has the object, and it is what its name says."""
        try:
            return file_md5(Path(self._odb.oid_to_path(md5))) == md5
        except FileNotFoundError:
            return False

    def stage(self, folder: str, name: str, suffix: str, md5: str, size: int) -> bytes:
        """Write the `.dvc` file of a table, by which `dvc pull` and `dvc checkout` know it; return it."""
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.meta import Meta

        place = self.root / folder
        place.mkdir(exist_ok=True)
        stage = self._repo.stage.create(
            single_stage=True,
            validate=False,
            fname=str(place / f"{name}.dvc"),
            wdir=str(place),
            outs=[f"{name}{suffix}"],
            force=True,
        )
        (out,) = stage.outs
        out.hash_info, out.meta = HashInfo("md5", md5), Meta(size=size)
        stage.dump()
        return (place / f"{name}.dvc").read_bytes()

    def has(self, md5: str) -> bool:
        """Whether the cache has an object of this name, whole or not."""
        return Path(self._odb.oid_to_path(md5)).exists()

    def is_pushed(self, md5: str, size: int) -> bool:
        """Whether the remote has an object of this name, with so many bytes; they are not read.

        Raises:
            FedcartError: as `remote_told`.
        """
        with remote_told(self._party):
            remote = self._repo.cloud.get_remote_odb(REMOTE, "push")
            return _size_of(remote, md5) == size

    def push(self, md5: str, size: int, *, anew: bool = False) -> None:
        """Copy an object to the remote, unless one of its size is there.

        One that is damaged in the cache and has its size there is fetched instead; one that the cache let go
        is left to the remote.

        Args:
            md5: of its content.
            size: in bytes.
            anew: whether it is sent whatever lies there.

        Raises:
            IntegrityError: neither has it as it was pinned (`version-damaged`).
            FedcartError: as `remote_told`.
        """
        with remote_told(self._party):
            remote = self._repo.cloud.get_remote_odb(REMOTE, "push")
            there = _size_of(remote, md5)
        if there == size and not anew:
            return
        if not self.is_whole(md5):
            if there != size:
                raise damaged()
            if self.has(md5):
                self._fetch(md5)
            return
        with remote_told(self._party):
            if there is not None and isinstance(remote.fs, type(_local())):
                remote.fs.remove(remote.oid_to_path(md5))  # a file that nobody may write, as DVC leaves it
            remote.add(self._odb.oid_to_path(md5), _local(), md5, hardlink=False, check_exists=False)

    def bring_back(self, md5: str, target: Path) -> None:
        """Copy an object to `target`, from the cache or, when it is not whole there, from the remote.

        Raises:
            IntegrityError: neither has it as it was pinned (`version-damaged`).
            FedcartError: as `remote_told`.
        """
        if not self.is_whole(md5):
            self._fetch(md5)
        with full_disk_told(target.name):
            _clone_or_copy(Path(self._odb.oid_to_path(md5)), target)
        if file_md5(target) != md5:
            raise damaged()

    def _fetch(self, md5: str) -> None:
        with remote_told(self._party):
            remote = self._repo.cloud.get_remote_odb(REMOTE, "pull")
            if not remote.exists(md5):
                raise damaged()
            part = self.root / ".dvc" / "tmp" / f"{_PART}{uuid4().hex}"
            with full_disk_told(part.name):
                remote.fs.get_file(remote.oid_to_path(md5), str(part))
        if file_md5(part) != md5:
            part.unlink()
            raise damaged()
        self.keep(part, md5)


@contextmanager
def table_cache(root: Path, party: str, remote: Remote) -> Iterator[TableCache]:
    """Open the DVC repository at `root`, which is made when there is none, with DVC's own lock held.

    What a killed process left is cleared first. The caller holds a lock of its own, so that nobody of
    fedcart's waits here.

    Raises:
        StackError: a dvc command that lives works there (`versions-busy`).
        InputError: the remote of the settings is none that DVC knows (`remote-invalid`).
    """
    from dvc.lock import LockError

    with _silent():
        # An option, or a kind of URL, that DVC does not know is found here.
        with remote_told(party), full_disk_told("config"):
            _write_configuration(root, remote)
            repo = _opened(root)
        try:
            repo.lock.lock()
        except LockError:
            raise busy("a dvc command") from None
        try:
            clear_stale_locks(root)
            _clear_parts(root)
            yield TableCache(root, party, repo)
        finally:
            repo.lock.unlock()
            repo.close()


def has_size_of(root: Path, md5: str, size: int) -> bool:
    """Whether the cache at `root` has an object of this name and size; nothing of it is read."""
    kept = _object(root, md5)
    return kept.is_file() and kept.stat().st_size == size


def has_bytes_of(root: Path, md5: str, table: Path) -> bool:
    """Whether the cache at `root` has a table byte for byte; DVC's repository need not be open.

    Two files are read as far as they are the same: no slower than to hash one, and at once where they differ.
    An object that is damaged or gone is not the table, so that the pin which follows puts it back.
    """
    kept = _object(root, md5)
    filecmp.clear_cache()  # it goes by times of change, within whose ticks a table may be written twice
    return kept.is_file() and filecmp.cmp(kept, table, shallow=False)


def _object(root: Path, md5: str) -> Path:
    return root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def damaged() -> IntegrityError:
    """The error for content that is nowhere as it was pinned."""
    return IntegrityError(
        "A table of the data version is damaged or missing in the party's cache, and not at its remote",
        fix="restore the cache or the remote from a backup; trainings go on with the tables that there are",
        code="version-damaged",
    )


def _opened(root: Path) -> Any:
    from dvc.repo import Repo
    from dvc.scm import NoSCM

    return Repo(str(root), scm=NoSCM(str(root)))


def _write_configuration(root: Path, remote: Remote) -> None:
    """Everything that decides where DVC writes, over whatever the user's own configuration says."""
    folder = root / ".dvc"
    for place in (root, folder, folder / "tmp", folder / "cache"):
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o700)
    for name, content in {**IGNORED, ".dvc/config": CONFIG}.items():
        if not (root / name).exists() or (root / name).read_text() != content:
            write_private(root / name, content.encode())
    (folder / "config.local").unlink(missing_ok=True)  # what the settings name no more goes
    write_local_config(folder, REMOTE, remote.document, {"site_cache_dir": str(folder / "tmp" / "site")})


def _clear_parts(root: Path) -> None:
    """Copies that a killed process had begun."""
    parts = [*(root / ".dvc" / "tmp").glob(f"{_PART}*"), *(root / ".dvc" / "cache").rglob(".*.tmp")]
    for part in parts:
        part.unlink(missing_ok=True)


def _clone_or_copy(source: Path, target: Path) -> None:
    from dvc_objects.fs.system import reflink

    try:
        reflink(str(source), str(target))  # type: ignore[no-untyped-call]
    except OSError:  # this file system has none
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
    target.chmod(0o600)


def _size_of(remote: Any, md5: str) -> int | None:
    """Bytes of a remote's object; `None` where there is none."""
    path = remote.oid_to_path(md5)
    return int(remote.fs.size(path)) if remote.exists(md5) else None


def _local() -> Any:
    from dvc.fs import localfs

    return localfs


@contextmanager
def _silent() -> Iterator[None]:
    """DVC's own log and progress bars name paths of the party."""
    loggers = [logging.getLogger(name) for name in _SILENT]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
