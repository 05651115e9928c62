"""One warm stack of two parties for all cases, with the harness in every process of its workers."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedmodels.recipe import Recipe
from fedmodels.toy_model import write_toy_model
from flows.data_preparation import prepare_data
from flows.following import coordinator_store, with_local_model
from infra.fault_points import HARNESS
from infra.local.processes import MARKER
from infra.local.stack import down, up
from infra.locations import role_settings, stack_folder
from infra.object_store import ObjectStore
from infra.settings import CONFIG_VARIABLE, load_role_settings
from infra.stores import store_from_settings
from tests.end_to_end.federation import CLASSES, REPOSITORY, sentences, write_csv
from tests.faults.injection import ORDERS
from tests.faults.points import COORDINATOR
from tests.faults.recipes import DAMAGED, DAMAGED_ROWS, PARTIES, ROWS, whole_recipe

WRONG = dict(zip(CLASSES, (CLASSES[-1], *CLASSES[:-1]), strict=True))
"""Each label, and the one that stands in its place in a damaged table."""


@dataclass(frozen=True)
class Range:
    """Where cases are played: the stack's home, the folder of their orders, and the recipe."""

    home: Path
    orders: Path
    recipe: Recipe
    store: ObjectStore
    """With the coordinator's credentials, which read everything."""
    stores: Mapping[str, ObjectStore]
    """With each party's own."""

    @property
    def environment(self) -> dict[str, str]:
        """Of a person's command in the coordinator's name; the harness is in it too."""
        home = self.home.resolve()
        return {
            **os.environ,
            **harnessed(self.orders),
            CONFIG_VARIABLE: str(role_settings(home, COORDINATOR)),
            MARKER: f"person@{stack_folder(home)}",
        }


@contextmanager
def firing_range(folder: Path) -> Iterator[Range]:
    """The stack, up while the body runs."""
    home, orders = folder / "home", folder / "orders"
    orders.mkdir(parents=True)
    recipe = whole_recipe(
        write_toy_model(folder / "toy-model", hidden_size=24),
        {party: write_csv(folder / f"{party}.csv", sentences(party, ROWS)) for party in PARTIES},
        write_csv(folder / "own.csv", sentences(COORDINATOR, ROWS)),
    )
    try:
        up(home, PARTIES, extra_environment=harnessed(orders))
        for each in (recipe, damaged(recipe, folder)):
            prepare_data(each, home)
            with_local_model(each, home)
        stores = {party: store_from_settings(load_role_settings(home, party)) for party in PARTIES}
        portable = with_local_model(recipe, home).without_paths()
        yield Range(home, orders, portable, coordinator_store(home), stores)
    finally:
        down(home)


def harnessed(orders: Path) -> dict[str, str]:
    """Variables that put the harness into a process."""
    return {
        "PYTHONPATH": str(REPOSITORY),
        HARNESS: "tests.faults.injection",
        ORDERS: str(orders),
        "PREFECT_LOGGING_TO_API_ENABLED": "false",  # nobody reads them, and they are half of the writes
    }


def damaged(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe by its other name, under which the last party has many rows, and all with wrong labels."""
    party = PARTIES[-1]
    rows = [(text, WRONG[label]) for text, label in sentences(party, DAMAGED_ROWS)]
    own = recipe.data.parties[party].model_copy(
        update={"train": str(write_csv(folder / "damaged.csv", rows))}
    )
    data = recipe.data.model_copy(update={"parties": {**recipe.data.parties, party: own}})
    return recipe.model_copy(update={"name": DAMAGED, "data": data})
