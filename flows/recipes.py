"""Recipes as files: found by name or path, read strictly, with all faults told at once."""

import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedmodels.document_faults import describe_faults
from fedmodels.errors import InputError
from fedmodels.recipe import Recipe
from fedmodels.yaml_text import YamlFault, read_yaml
from infra.locations import expanded

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def known_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with fedcart."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.yaml")))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by its name, or from a YAML file anywhere.

    Relative paths in it, of tables and of a model folder, count from the folder of the file.

    Raises:
        InputError: there is no such recipe or file, it is not YAML, or it has faults, all of them named; or
            a path names a home folder that this machine does not have.
    """
    path = _recipe_path(name_or_path)
    try:
        document = read_yaml(path)
    except YamlFault as fault:
        raise InputError(f"The recipe {path} is {fault}", fix=fault.fix, code="recipe-invalid") from None
    except OSError as error:
        reason = (error.strerror or "input/output error").lower()
        raise InputError(
            f"The recipe {path} cannot be read: {reason}",
            fix="correct its path or rights",
            code="recipe-unreadable",
        ) from None
    return _with_absolute_paths(_validated(document, f"The recipe {path}"), path.resolve().parent)


def to_name(recipe: str, given: str | None = None) -> str:
    """What stands behind `--recipe` in a command that somebody is advised to run.

    Args:
        recipe: the recipe's name.
        given: how whoever is advised has just named it, if at all.
    """
    if given is not None:
        return shlex.quote(given)
    return recipe if recipe in known_recipes() else "FILE"


def recipe_name(name_or_path: str) -> str:
    """The name of a recipe of which only that is wanted: as it was given, or as its file says.

    Raises:
        InputError: as `load_recipe`, of a file; a name is not looked up.
    """
    return load_recipe(name_or_path).name if _is_path(name_or_path) else name_or_path


def recipe_of(given: dict[str, Any] | str) -> Recipe:
    """The recipe that a flow was given: by its name, or its content.

    Raises:
        InputError: as `load_recipe`.
    """
    return load_recipe(given) if isinstance(given, str) else _validated(given, "The recipe of this flow run")


def _validated(document: object, which: str) -> Recipe:
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise InputError(
            f"{which} has {describe_faults(error, Recipe)}",
            fix="correct it; recipes/reviews.yaml spells out every key",
            code="recipe-invalid",
        ) from None


def _recipe_path(name_or_path: str) -> Path:
    if _is_path(name_or_path):
        path = expanded(name_or_path)
        if not path.is_file():
            raise InputError(f"There is no recipe file {path}", fix="correct the path", code="recipe-unknown")
        return path
    if name_or_path not in known_recipes():
        raise InputError(
            f"There is no recipe {name_or_path!r}",
            fix=f"use one of {', '.join(known_recipes())}, or the path of a YAML file",
            code="recipe-unknown",
        )
    return RECIPES / f"{name_or_path}.yaml"


def _is_path(name_or_path: str) -> bool:
    path = Path(name_or_path)
    return path.suffix in (".yaml", ".yml") or len(path.parts) > 1


def _with_absolute_paths(recipe: Recipe, folder: Path) -> Recipe:
    def absolute(path: str | None) -> str | None:
        return str(folder / expanded(path)) if path else None

    parties = {
        party: own.model_copy(update={"train": absolute(own.train), "holdout": absolute(own.holdout)})
        for party, own in recipe.data.parties.items()
    }
    own = recipe.data.coordinator
    places = {name: absolute(getattr(own, name)) for name in ("table", "public", "validation", "holdout")}
    data = recipe.data.model_copy(update={"parties": parties, "coordinator": own.model_copy(update=places)})
    model = recipe.model
    model_folder = folder / expanded(model.source)
    if model_folder.is_dir():
        model = model.model_copy(update={"source": str(model_folder)})
    return recipe.model_copy(update={"data": data, "model": model})
