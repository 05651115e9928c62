"""What the harness trains: one recipe, and what its runs change of it.

A lane's `seed` decides its models. The architecture is a lane's own as well, so that its archive can be
forgotten with the weights.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fedmodels.recipe import Recipe, RoundGate, Salvage

RecipeOf = Callable[[Recipe, int], Recipe]
"""From the harness's recipe and a lane's seed, that of a run."""
PARTIES = ("shop-a", "shop-b")
NAME, DAMAGED = "faults", "faults-damaged"
"""Two names for one recipe: under the second, the last party's settings name a table with wrong labels."""
ROWS, DAMAGED_ROWS = 60, 180
"""Three times the others' rows: the average then scores as the damaged ones want it."""
BAD_LOSS = 1.5
"""Nats. On validation the first average has more than 2 with the damaged update, and 1.1 without it."""


def whole_recipe(model: Path, tables: Mapping[str, Path], own: Path) -> Recipe:
    """Two rounds, both parties needed, and time for every recovery.

    Args:
        model: folder of the toy model.
        tables: party to its table.
        own: the coordinator's table.
    """
    return Recipe.model_validate(
        {
            "name": NAME,
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


def one_round_may_fail(recipe: Recipe, seed: int) -> Recipe:
    """One round that passes, after one that may be refused, and then without who spoiled it."""
    return _changed(who_sits_out_is_left_out(recipe, seed), num_rounds=1, max_failed_rounds=1)


def the_worst_is_dropped(recipe: Recipe, seed: int) -> Recipe:
    """The same with wrong labels at one party: with its update the gate refuses the first average."""
    local = recipe.local.model_copy(update={"epochs": 4})
    gate = recipe.gate.model_copy(update={"max_loss": BAD_LOSS, "after_refusal": "drop"})
    return _changed(one_round_may_fail(recipe, seed), name=DAMAGED, local=local, gate=gate)


def late_ones_count_next_time(recipe: Recipe, seed: int) -> Recipe:
    """Rounds go on without a party in seconds, and what it then submits counts in the next round.

    Nobody has to score at a party, so that who was late has time to answer the second round.
    """
    quick = one_is_enough(recipe, seed)
    return _changed(
        quick, salvage=Salvage(), grace=6.0, join_timeout=recipe.join_timeout, evaluate_at_parties=False
    )


def _changed(recipe: Recipe, **values: Any) -> Recipe:
    return recipe.model_copy(update=values)
