"""What the harness trains: one recipe, and what its runs change of it.

A lane's `seed` decides its models. The architecture is a lane's own as well, so that its archive can be
forgotten with the weights.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fedmodels.recipe import Recipe, RoundGate

RecipeOf = Callable[[Recipe, int], Recipe]
"""From the harness's recipe and a lane's seed, that of a run."""
PARTIES = ("shop-a", "shop-b")


def whole_recipe(model: Path, tables: Mapping[str, Path], own: Path) -> Recipe:
    """Two rounds, both parties needed, and time for every recovery.

    Args:
        model: folder of the toy model.
        tables: party to its table.
        own: the coordinator's table.
    """
    return Recipe.model_validate(
        {
            "name": "faults",
            "num_rounds": 2,
            "max_failed_rounds": 0,
            "model": {"source": str(model), "max_length": 24, "init": "random"},
            "data": {
                "parties": {party: {"train": str(table)} for party, table in tables.items()},
                "coordinator": {"table": str(own)},
            },
            "local": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01},
            "fine_tuning": {"epochs": 1, "learning_rate": 0.003},
            "gate": RoundGate.off().model_dump(),
            "round_timeout": 120.0,
            "grace": 60.0,
        }
    )


def all_required(recipe: Recipe, seed: int) -> Recipe:
    """As it is: whatever happens, the model must be the same."""
    config = {"initializer_range": 0.02 + seed / 1e4}
    return _changed(recipe, seed=seed, model=recipe.model.model_copy(update={"config": config}))


def untuned(recipe: Recipe, seed: int) -> Recipe:
    """The same without global fine-tuning: each model can be computed again from its decision."""
    return _changed(all_required(recipe, seed), fine_tuning=None)


def who_sits_out_is_left_out(recipe: Recipe, seed: int) -> Recipe:
    """As `untuned`, but rounds go on without whoever says that it sits out."""
    return _changed(untuned(recipe, seed), min_available_parties=1)


def one_is_enough(recipe: Recipe, seed: int) -> Recipe:
    """As `untuned`, but rounds go on without a party in seconds; with both, the model is the same."""
    return _changed(
        who_sits_out_is_left_out(recipe, seed), grace=4.0, join_timeout=8.0, evaluation_timeout=4.0
    )


def _changed(recipe: Recipe, **values: Any) -> Recipe:
    return recipe.model_copy(update=values)
