"""Looking at a party's versions, and bringing the tables of an old one back into a folder of their own."""

from dataclasses import dataclass
from pathlib import Path

from fedmodels.data.versions import PinnedTable, PinnedVersion
from fedmodels.errors import InputError
from infra.settings import Tables
from infra.versioning.cache import table_cache
from infra.whole_files import check_place, whole_folder
from tasks.party.versions.desk import VersionDesk, find_version


@dataclass(frozen=True)
class ListedVersion:
    """A version, whether it was pushed, and the runs that trained on it."""

    version: PinnedVersion
    pushed: bool
    runs: tuple[str, ...]


@dataclass(frozen=True)
class BroughtBack:
    """The tables of a version, in a folder of their own."""

    version: PinnedVersion
    folder: Path

    def tables(self, live: Tables) -> Tables:
        """The party's tables, with the version's in place of today's; what it expects of them is today's."""
        found = {name: self.folder / file_name(name, table) for name, table in self.version.tables.items()}
        return live.model_copy(update={"train": None, "holdout": None, "fresh": None, **found})


def list_versions(desk: VersionDesk, recipe: str) -> tuple[ListedVersion, ...]:
    """The versions of a recipe, oldest first; none, when nothing was ever pinned.

    Raises:
        IntegrityError: their history was rewritten, or is damaged.
    """
    if not desk.has_history():
        return ()
    pushed = desk.pushed()
    return tuple(
        ListedVersion(
            version,
            (version.recipe, version.number) in pushed,
            tuple(sorted(path.name for path in desk.uses(version).glob("*"))),
        )
        for version in desk.read(desk.history(), recipe)
    )


def check_out(desk: VersionDesk, recipe: str, wanted: str, out: Path, live: Tables) -> PinnedVersion:
    """Write the tables of a version into the folder `out`, all of them or none.

    Args:
        desk: the party's versions.
        recipe: whose tables they are.
        wanted: number of the version, or the beginning of its keyed hash.
        out: a folder that is not there yet, or is empty.
        live: the tables that the party trains on now, which stay as they are.

    Raises:
        InputError: there is no such version (`version-unknown`); something lies in `out` (`folder-taken`).
        IntegrityError: a table is neither in the cache nor at the remote as it was (`version-damaged`).
        FedcartError: as `pin_tables`; or the remote cannot be had.
    """
    _refuse_taken(out, live)
    if not desk.has_history():
        return find_version((), wanted, recipe)
    with desk.locked():
        version = find_version(desk.read(desk.history(), recipe), wanted, recipe)
        with table_cache(desk.root, desk.party, desk.remote) as cache, whole_folder(out) as part:
            part.chmod(0o700)
            for name, table in version.tables.items():
                cache.bring_back(table.md5, part / file_name(name, table))
    return version


def file_name(name: str, table: PinnedTable) -> str:
    """Of a table that was brought back."""
    return f"{name}{table.suffix}"


def _refuse_taken(out: Path, live: Tables) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        holds = [path for path in (live.train, live.holdout, live.fresh) if path is not None]
        what = (
            "the tables that the party trains on"
            if any(path.resolve().parent == out.resolve() for path in holds)
            else "something already"
        )
        raise InputError(
            f"The folder {out} holds {what}", fix="name one that is not there yet", code="folder-taken"
        )
    check_place(out)
