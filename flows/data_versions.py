"""A party's versions of its own tables: pinned, listed and brought back on the party's own machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.recipe import Recipe
from flows.own_settings import party_settings, party_workspace, places_told
from infra.settings import Settings, party_tables

if TYPE_CHECKING:
    from fedmodels.data.versions import PinnedVersion
    from tasks.party.versions.bringing_back import ListedVersion
    from tasks.party.versions.desk import VersionDesk
    from tasks.party.versions.pinning import Pinned


def pin_party(recipe: Recipe, party: str, settings: Settings) -> "Pinned":
    """Make a version of the party's tables if they differ from the newest one, and push what is not pushed.

    Args:
        recipe: the recipe.
        party: one of its parties.
        settings: of this process: the party's own, or of the machine that plays all parties.

    Raises:
        FedcartError: as `pin_tables`.
    """
    from tasks.party.versions.pinning import pin_tables

    own = party_settings(recipe, party, settings)
    with _remote_within_reach(own), places_told(recipe, party, settings):
        return pin_tables(_desk(party, own, settings), recipe, party_tables(own.tables, recipe.name, party))


def versions_of(recipe: Recipe, party: str, settings: Settings) -> "tuple[ListedVersion, ...]":
    """The versions of a party's tables, oldest first; the arguments are those of `pin_party`.

    Raises:
        IntegrityError: their history was rewritten, or is damaged.
    """
    from tasks.party.versions.bringing_back import list_versions

    return list_versions(_desk(party, party_settings(recipe, party, settings), settings), recipe.name)


def check_out_version(
    recipe: Recipe, party: str, settings: Settings, wanted: str, out: Path
) -> "PinnedVersion":
    """Write the tables of an old version into a folder; the tables that are trained on stay as they are.

    Raises:
        FedcartError: as `check_out`.
    """
    from infra.settings import Tables
    from tasks.party.versions.bringing_back import check_out

    own = party_settings(recipe, party, settings)
    live = own.tables.get(recipe.name, Tables())
    with _remote_within_reach(own):
        return check_out(_desk(party, own, settings), recipe.name, wanted, out, live)


def _desk(party: str, own: Settings, settings: Settings) -> "VersionDesk":
    from infra.versioning.remote import remote_of
    from tasks.party.versions.desk import VersionDesk

    return VersionDesk(party, party_workspace(party, settings), remote_of(own, party))


@contextmanager
def _remote_within_reach(own: Settings) -> Iterator[None]:
    """Inside, the store of this machine's stack runs, if the remote lies in it; it may be down otherwise."""
    from infra.local.plan import read_stack
    from infra.local.stack import borrowed_store

    planned = read_stack(own.home)
    if own.versions.remote is None and planned is not None and planned.endpoint == own.s3_endpoint:
        with borrowed_store(own.home):
            yield
    else:
        yield
