"""Sending a party's versions to its remote, by what its folder notes of that remote, or by a look at it."""

from collections.abc import Callable
from typing import Literal

from fedmodels.data.versions import PinnedVersion
from fedmodels.errors import FedcartError
from infra.versioning.cache import TableCache, table_cache
from tasks.party.versions.desk import VersionDesk

Extent = Literal["what is not noted", "what is lost", "all anew"]
"""Which versions a pin pushes: those of which the folder does not note that they were, which costs no look at
the remote; as well, those that it notes and the remote lacks; or all whose tables the cache has."""


def push_versions(desk: VersionDesk, recipe: str) -> FedcartError | None:
    """Push every version of a recipe that is not pushed yet; return why that could not be done, if so.

    Raises:
        FedcartError: the history was rewritten; somebody else works in the folder.
    """
    with desk.locked():
        pending = _pending(desk, desk.read(desk.history(), recipe))
        if not pending:
            return None
        with table_cache(desk.root, desk.party, desk.remote) as cache:
            return _push(desk, cache, pending)[1]


def bring_up_to_date(
    desk: VersionDesk, cache: Callable[[], TableCache], versions: tuple[PinnedVersion, ...], pushing: Extent
) -> tuple[int, FedcartError | None]:
    """Push what counts as not pushed; return how many versions, and why one could not be.

    Args:
        desk: the party's versions, locked.
        cache: opens DVC's repository, or gives the one that is open; not asked where nothing is to be pushed.
        versions: of a recipe, oldest first.
        pushing: what counts.
    """
    if pushing != "what is not noted":
        try:
            desk.note_not_pushed(_lost(desk, cache(), versions, pushing))
        except FedcartError as error:
            return 0, error
    pending = _pending(desk, versions)
    anew = pushing == "all anew"
    return _push(desk, cache(), pending, anew=anew) if pending else (0, None)


def _lost(
    desk: VersionDesk, cache: TableCache, versions: tuple[PinnedVersion, ...], pushing: Extent
) -> list[PinnedVersion]:
    """Versions that are noted as pushed and count as not pushed.

    Where the remote has the newest and the oldest of them, by the names and sizes of their tables, none does.
    Where it has not, which may have been emptied, every one does that it lacks and the cache still has: what
    a party let go at both places stays gone.

    Raises:
        FedcartError: as `remote_told`.
    """
    pushed, newest = desk.pushed(), versions[-1]
    noted = [
        version
        for version in versions
        if (version.recipe, version.number) in pushed
        if version == newest or all(cache.has(table.md5) for table in version.tables.values())
    ]

    def lacks(version: PinnedVersion) -> bool:
        return not all(cache.is_pushed(table.md5, table.bytes) for table in version.tables.values())

    if pushing == "all anew":
        return noted
    if any(lacks(version) for version in (*noted[:1], *noted[-1:])):
        return [version for version in noted if lacks(version)]
    return []


def _pending(desk: VersionDesk, versions: tuple[PinnedVersion, ...]) -> list[PinnedVersion]:
    pushed = desk.pushed()
    return [version for version in versions if (version.recipe, version.number) not in pushed]


def _push(
    desk: VersionDesk, cache: TableCache, pending: list[PinnedVersion], *, anew: bool = False
) -> tuple[int, FedcartError | None]:
    """Push these versions, the newest first; a remote that cannot be had costs none of them but the push."""
    done, error = 0, None
    sent: set[str] = set()
    for version in reversed(pending):
        try:
            for table in version.tables.values():
                if table.md5 not in sent:
                    cache.push(table.md5, table.bytes, anew=anew)
                    sent.add(table.md5)
        except FedcartError as fault:
            error = error or fault
            if fault.code != "version-damaged":  # that is the fault of one version, others may go
                break
        else:
            desk.note_pushed(version)
            done += 1
    return done, error
