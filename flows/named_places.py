"""What a recipe names of this machine, tables of one's own and a model's folder: whether it is there.

Nothing here opens a table. Only where a person has just named them may paths be told: no flow uses this.
"""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from fedmodels.errors import InputError
from fedmodels.recipe import HUB_ID, Recipe
from infra.locations import expanded
from infra.packages import MODEL_PREFIX


def refuse_missing_places(recipe: Recipe) -> None:
    """See that all is there that the recipe names of this machine.

    Raises:
        InputError: as `refuse_missing_tables` and `refuse_missing_model`.
    """
    refuse_missing_tables(recipe)
    refuse_missing_model(recipe)


def refuse_missing_model(recipe: Recipe) -> None:
    """See that `model.source`, where it can only be a folder, is one that holds a model.

    A name that a hub could have is left to the hub: only a person knows which of them is meant.

    Raises:
        InputError: there is no such folder, or it has no `config.json` (`model-missing`).
    """
    source = recipe.model.source
    if source.startswith(MODEL_PREFIX):
        return
    folder = expanded(source)
    if folder.is_dir():
        what = "" if (folder / "config.json").is_file() else "has no config.json"
    else:
        what = "" if re.fullmatch(HUB_ID, source) else "does not exist"
    if what:
        raise InputError(
            f"The model folder {source} {what}",
            fix="correct model.source in the recipe",
            code="model-missing",
        )


def refuse_missing_tables(recipe: Recipe) -> None:
    """See that each table that the recipe names is a file with something in it.

    A party's is looked at from outside alone: what is in it is the business of that party's own process.
    One that this process may not even look for is left to it, too.

    Args:
        recipe: the recipe, with absolute paths.

    Raises:
        InputError: one does not exist (`table-missing`), is a folder (`table-unreadable`) or has not one
            byte (`table-empty`); names all of them, by role and path.
    """
    faults = list(_faults(recipe))
    if faults:
        places = dict.fromkeys(place for _, _, place in faults)
        said = ", and ".join(sentence for _, sentence, _ in faults)
        raise InputError(
            said[0].upper() + said[1:],
            fix=f"correct its path under {' and '.join(places)} in the recipe",
            code=faults[0][0],
        )


def _faults(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """Code, sentence, and where in the recipe the path stands."""
    for whose, path, place in _named(recipe):
        if found := _fault(path):
            code, what = found
            yield code, f"{whose} {path} {what}", place


def _named(recipe: Recipe) -> Iterator[tuple[str, Path, str]]:
    if recipe.data.source:
        return
    own = recipe.data.coordinator
    for file in filter(None, (own.table, own.public, own.validation, own.holdout)):
        yield "the coordinator's table", Path(file), "data.coordinator"
    for party, tables in recipe.data.parties.items():
        for name, named in (("train", tables.train), ("holdout", tables.holdout)):
            if named:
                yield f"the {name} table of {party}", Path(named), f"data.parties.{party}"


def _fault(path: Path) -> tuple[str, str] | None:
    """Code and words for what no table can be, seen from outside."""
    try:
        seen = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "table-missing", "does not exist"
    except PermissionError:
        return None
    if stat.S_ISDIR(seen.st_mode):
        return "table-unreadable", "is a folder"
    return ("table-empty", "is empty") if seen.st_size == 0 and stat.S_ISREG(seen.st_mode) else None
