"""Whose settings and folder a command works with that looks after one party's data."""

from pathlib import Path

from fedmodels.errors import InputError
from fedmodels.recipe import Recipe
from infra.locations import party_folder
from infra.settings import Settings, load_role_settings


def party_settings(recipe: Recipe, party: str, settings: Settings) -> Settings:
    """The party's own settings: those of this process, or on the machine that plays all parties, its file's.

    Raises:
        InputError: the recipe has no such party (`party-unknown`), or its settings cannot be read.
    """
    if party not in recipe.parties:
        raise InputError(
            f"The recipe {recipe.name} has no party {party}",
            fix=f"name one of {', '.join(recipe.parties)}",
            code="party-unknown",
        )
    return settings if settings.role == party else load_role_settings(settings.home, party)


def party_workspace(party: str, settings: Settings) -> Path:
    """The party's own folder; `settings` are those of this process."""
    return settings.workspace if settings.role == party else party_folder(settings.home, party)
