"""Whether a training would take the tables of one's own that its recipe names.

It takes those in each role's own settings, where `fedcart data prepare` notes what the recipe names. A recipe
that was changed since names others.
"""

import os
from pathlib import Path

from fedmodels.errors import InputError
from fedmodels.recipe import SETS, Recipe
from flows.data_preparation import data_folder, is_cut
from flows.recipes import to_name
from infra.layout import COORDINATOR
from infra.locations import role_settings
from infra.settings import Tables, load_role_settings


def refuse_other_tables(recipe: Recipe, home: Path, named: str, *, resume: bool = False) -> None:
    """See that the settings of this machine's roles name the tables that the recipe names.

    A role without settings here is elsewhere, and nothing is compared for it.

    Args:
        recipe: the recipe, with absolute paths.
        home: folder for everything that fedcart writes.
        named: the recipe's name or path, as it was given.
        resume: a run goes on, whose coordinator keeps the rows that it began with.

    Raises:
        InputError: those of a role name other tables, or none (`tables-differ`).
    """
    if recipe.data.source:
        return
    parties = [party for party in recipe.parties if _differs(recipe, home, party)]
    said = []
    if parties:
        said.append(f"other tables, or none, stand in the settings of {', '.join(parties)}")
    if not resume and _is_cut_from_others(recipe, home):
        said.append("the coordinator's sets were cut from other tables, or by another data section")
    if said:
        raise InputError(
            f"A training would not take the tables that recipe {recipe.name} names: {', and '.join(said)}",
            fix=f"run fedcart data prepare --recipe {to_name(recipe.name, named)}",
            code="tables-differ",
        )


def _differs(recipe: Recipe, home: Path, party: str) -> bool:
    own, noted = recipe.data.parties[party], _noted(recipe, home, party)
    pairs = ((own.train, noted.train), (own.holdout, noted.holdout)) if noted else ()
    return any(not _same(wanted, there) for wanted, there in pairs)


def _is_cut_from_others(recipe: Recipe, home: Path) -> bool:
    noted, folder = _noted(recipe, home, COORDINATOR), data_folder(home, COORDINATOR, recipe.name)
    if noted is None:
        return False
    here = all(_same(folder / f"{name}.parquet", getattr(noted, name)) for name in SETS)
    return not (here and is_cut(recipe, home))


def _same(one: str | Path | None, other: str | Path | None) -> bool:
    """Whether both name the same place, by whatever way, or both none."""
    return (one and os.path.realpath(one)) == (other and os.path.realpath(other))


def _noted(recipe: Recipe, home: Path, role: str) -> Tables | None:
    """What the role's settings say; `None` where it has none."""
    if not role_settings(home, role).exists():
        return None
    return load_role_settings(home, role).tables.get(recipe.name, Tables())
