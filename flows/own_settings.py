"""Whose settings and folder a command works with that looks after one party's data."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedmodels.errors import InputError
from fedmodels.protocol.allowance import is_of_data
from fedmodels.recipe import Recipe
from infra.locations import party_folder, role_settings
from infra.settings import CONFIG_VARIABLE, Settings, Tables, load_role_settings


def check_party(recipe: Recipe, party: str) -> None:
    """Refuse a party that a recipe does not have.

    Raises:
        InputError: `party-unknown`.
    """
    if party not in recipe.parties:
        raise InputError(
            f"The recipe {recipe.name} has no party {party}",
            fix=f"name one of {', '.join(recipe.parties)}",
            code="party-unknown",
        )


def party_settings(recipe: Recipe, party: str, settings: Settings) -> Settings:
    """The party's own settings: those of this process, or on the machine that plays all parties, its file's.

    Raises:
        InputError: as `check_party`, or its settings cannot be read.
    """
    check_party(recipe, party)
    return settings if settings.role == party else load_role_settings(settings.home, party)


@contextmanager
def places_told(recipe: Recipe, party: str, settings: Settings) -> Iterator[None]:
    """Let a refusal of the party's tables say where they are, and which file says so.

    Only for a command that somebody runs at the party: elsewhere such a sentence travels, and holds no path.

    Raises:
        InputError: the refusal, with the same sentence and code.
    """
    try:
        yield
    except InputError as error:
        if not is_of_data(error.code):
            raise
        raise InputError(
            error.sentence, fix=f"{error.fix} ({_places(recipe, party, settings)})".strip(), code=error.code
        ) from None


def _places(recipe: Recipe, party: str, settings: Settings) -> str:
    tables = party_settings(recipe, party, settings).tables.get(recipe.name, Tables())
    told = ", ".join(f"{name} is {path}" for name, path in tables if path is not None)
    process = Path(os.environ.get(CONFIG_VARIABLE, "fedcart.toml"))
    file = process if settings.role == party else role_settings(settings.home, party)
    return f"{told or 'no table is named'}: [tables.{recipe.name}] of {file.absolute()}"


def party_workspace(party: str, settings: Settings) -> Path:
    """The party's own folder; `settings` are those of this process."""
    return settings.workspace if settings.role == party else party_folder(settings.home, party)
