"""Pinning: a new version where a party's tables differ from the newest one, and then a push of what is new.

    copy → hash the copy → cache → commit → note → push

The commit makes the version. Whoever dies before it leaves contents in the cache that nothing names, and the
next pin finds them there; whoever dies after it, a version that the next pin notes and pushes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedmodels.data.shape import table_shape
from fedmodels.data.versions import PinnedTable, PinnedVersion, is_suffix, keyed_hash, next_version
from fedmodels.errors import FedcartError, InputError
from fedmodels.recipe import Recipe
from infra.file_hash import file_md5
from infra.private_files import read_json, write_json
from infra.settings import Tables
from infra.versioning.cache import IGNORED, TableCache, has_bytes_of, has_size_of, table_cache
from infra.versioning.history import History
from tasks.party.versions.desk import VersionDesk
from tasks.party.versions.sending import Extent, bring_up_to_date

NAMES = ("train", "holdout", "fresh")
_TRIES = 3
_SETTLED_NS = 2_000_000_000
"""A file that changed so recently may change again within the same tick of its file system's clock."""


@dataclass(frozen=True)
class Pinned:
    """What came of a pin. `push_error` is why what is pinned could not be pushed."""

    version: PinnedVersion
    made: bool
    pushed: int
    """Versions that this call pushed."""
    push_error: FedcartError | None


def pin_tables(
    desk: VersionDesk,
    recipe: Recipe,
    tables: Tables,
    run: str | None = None,
    *,
    push: bool = True,
    pushing: Extent = "what is not noted",
) -> Pinned:
    """Make a version of the tables if they differ from the newest one, and push whatever is not pushed yet.

    Args:
        desk: the party's versions.
        recipe: whose tables they are.
        tables: train, and holdout and fresh if there are any.
        run: that is about to train on them.
        push: whether to push as well; `push_versions` does it later.
        pushing: what counts as not pushed yet.

    Raises:
        FedcartError: a table is missing or damaged, or is written all the time (`table-moving`); the history
            was rewritten; somebody else works in the folder; the disk is full.
    """
    with desk.locked(), _opened(desk) as opened:
        history = desk.history()
        if history.head is None:
            desk.ensure_key()
        versions = desk.read(history, recipe.name)
        version = _unchanged(desk, versions, recipe, tables, by_marks=pushing == "what is not noted")
        made = version is None
        if version is None:
            version, made = _pin(desk, opened.cache(), history, versions, recipe, tables)
        if history.head is not None:
            desk.note(history.head)
        if run is not None:
            desk.note_use(version, run)
        versions = (*versions, version) if made else versions
        pushed, error = bring_up_to_date(desk, opened.cache, versions, pushing) if push else (0, None)
    return Pinned(version, made, pushed, error)


class _Opened:
    """Opens DVC's repository when it is first needed: a pin that changes nothing goes without."""

    def __init__(self, desk: VersionDesk) -> None:
        self._desk = desk
        self._context = table_cache(desk.root, desk.party, desk.remote)
        self._cache: TableCache | None = None

    def cache(self) -> TableCache:
        """The repository, opened once."""
        if self._cache is None:
            self._cache = self._context.__enter__()
        return self._cache

    def close(self) -> None:
        """Close it, if it was opened."""
        if self._cache is not None:
            self._context.__exit__(None, None, None)


@contextmanager
def _opened(desk: VersionDesk) -> Iterator[_Opened]:
    opened = _Opened(desk)
    try:
        yield opened
    finally:
        opened.close()


def _paths(tables: Tables) -> dict[str, Path]:
    """The tables that there are; a missing train or holdout table is found when it is read."""
    named = {name: getattr(tables, name) for name in NAMES}
    return {name: path for name, path in named.items() if path and (name != "fresh" or path.exists())}


def _marks(paths: Mapping[str, Path]) -> dict[str, list[int]]:
    """What of a file tells, without reading it, that it was not written since."""
    found = {}
    for name, path in paths.items():
        if path.exists():
            seen = path.stat()
            found[name] = [seen.st_size, seen.st_mtime_ns, seen.st_ino]
    return found


def _unchanged(
    desk: VersionDesk, versions: tuple[PinnedVersion, ...], recipe: Recipe, tables: Tables, *, by_marks: bool
) -> PinnedVersion | None:
    """The newest version, if it is what the tables are: by their marks if these suffice, or by their bytes.

    Nothing is said to be unchanged that the cache lacks: the pin that follows fills it from the same tables.
    """
    paths = _paths(tables)
    if not versions or versions[-1].tables.keys() != paths.keys():
        return None
    newest, marks = versions[-1], _marks(paths)
    if any(not has_size_of(desk.root, table.md5, table.bytes) for table in newest.tables.values()):
        return None
    if by_marks and read_json(_seen(desk, recipe)) == {"keyed_hash": newest.keyed_hash, "marks": marks}:
        return newest
    if any(marks.get(name, [-1])[0] != table.bytes for name, table in newest.tables.items()):
        return None
    if any(not has_bytes_of(desk.root, table.md5, paths[name]) for name, table in newest.tables.items()):
        return None
    _note_seen(desk, recipe, newest, marks)
    return newest


def _pin(
    desk: VersionDesk,
    cache: TableCache,
    history: History,
    versions: tuple[PinnedVersion, ...],
    recipe: Recipe,
    tables: Tables,
) -> tuple[PinnedVersion, bool]:
    """The new version; or the newest, when the tables turn out to be what they were."""
    paths = _paths(tables)
    for _ in range(_TRIES):
        marks = _marks(paths)
        found = {name: _take(cache, name, path, recipe) for name, path in paths.items()}
        if _marks(paths) == marks:
            break
    else:
        raise InputError(
            f"A table of party {desk.party} was written {_TRIES} times while it was pinned",
            fix="pin when nobody writes it, or replace it in one step",
            code="table-moving",
        )
    key, now = desk.key(), datetime.now(UTC).replace(microsecond=0)
    if versions and versions[-1].keyed_hash == keyed_hash(found, key):
        _note_seen(desk, recipe, versions[-1], marks)
        return versions[-1], False
    version = next_version(versions, recipe.name, found, now, key)
    files = _files(cache, version)
    if history.head is None:
        files |= {name: (desk.root / name).read_bytes() for name in (*IGNORED, ".dvc/config")}
    history.commit(files, f"Pin version {version.number} of {recipe.name}", now)
    _note_seen(desk, recipe, version, marks)
    return version, True


def _take(cache: TableCache, name: str, path: Path, recipe: Recipe) -> PinnedTable:
    """Put a table into the cache, and say what it is; all of it is about one and the same copy."""
    if not path.is_file():
        table_shape(path, recipe.data.text, recipe.data.label, table=name)  # says what is wrong
    part = cache.take_in(path)
    try:
        shape = table_shape(part, recipe.data.text, recipe.data.label, table=name)
        md5, size = file_md5(part), part.stat().st_size
        cache.keep(part, md5)
    finally:
        part.unlink(missing_ok=True)
    suffix = path.suffix if is_suffix(path.suffix) else ""  # a table's kind is told by its content
    return PinnedTable(md5=md5, bytes=size, rows=shape.rows, suffix=suffix, columns=shape.columns)


def _files(cache: TableCache, version: PinnedVersion) -> dict[str, bytes | None]:
    """What a version is in the history: its document, and the `.dvc` files of its tables."""
    document = version.model_dump_json(indent=2).encode() + b"\n"
    files: dict[str, bytes | None] = {f"{version.recipe}/{name}.dvc": None for name in NAMES}
    for name, table in version.tables.items():
        files[f"{version.recipe}/{name}.dvc"] = cache.stage(
            version.recipe, name, table.suffix, table.md5, table.bytes
        )
    ignored = "".join(f"/{name}{table.suffix}\n" for name, table in sorted(version.tables.items()))
    return {
        **files,
        f"{version.recipe}/.gitignore": ignored.encode(),
        f"{version.recipe}/{version.number:04d}.json": document,
    }


def _seen(desk: VersionDesk, recipe: Recipe) -> Path:
    return desk.state / "seen" / f"{recipe.name}.json"


def _note_seen(
    desk: VersionDesk, recipe: Recipe, version: PinnedVersion, marks: Mapping[str, list[int]]
) -> None:
    """Remember the marks, unless a change that follows might leave them as they are."""
    now = datetime.now(UTC).timestamp() * 1e9
    if all(now - changed > _SETTLED_NS for _, changed, _ in marks.values()):
        write_json(_seen(desk, recipe), {"keyed_hash": version.keyed_hash, "marks": dict(marks)})
