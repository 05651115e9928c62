"""One warm stack of two parties for all cases, with the harness in every process of its workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedmodels.recipe import Recipe
from fedmodels.toy_model import write_toy_model
from flows.data_preparation import prepare_data
from flows.following import coordinator_store, with_local_model
from infra.fault_points import HARNESS
from infra.local.stack import down, up
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from tests.end_to_end.federation import REPOSITORY, sentences, write_csv
from tests.faults.injection import ORDERS

PARTIES = ("shop-a", "shop-b")


@dataclass(frozen=True)
class Range:
    """Where cases are played: the stack's home, the folder of their orders, and the recipes."""

    home: Path
    orders: Path
    recipe: Recipe
    store: ObjectStore
    """With the coordinator's credentials, which read everything."""
    stores: dict[str, ObjectStore]
    """With each party's own."""

    def all_required(self, seed: int) -> Recipe:
        """Two rounds, both parties needed, and time for every recovery: the model must be the same.

        The architecture is a lane's own as well, so that its archive can be forgotten with the weights.
        """
        model = self.recipe.model.model_copy(update={"config": {"initializer_range": 0.02 + seed / 1e4}})
        return self.recipe.model_copy(update={"seed": seed, "model": model})

    def untuned(self, seed: int) -> Recipe:
        """The same without global fine-tuning: each model can be computed again from its decision."""
        return self.all_required(seed).model_copy(update={"fine_tuning": None})

    def who_sits_out_is_left_out(self, seed: int) -> Recipe:
        """As `untuned`, but rounds go on without whoever says that it sits out."""
        return self.untuned(seed).model_copy(update={"min_available_parties": 1})

    def one_is_enough(self, seed: int) -> Recipe:
        """As `untuned`, but rounds go on without a party in seconds; with both, the model is the same."""
        return self.untuned(seed).model_copy(
            update={
                "min_available_parties": 1,
                "grace": 4.0,
                "join_timeout": 8.0,
                "evaluation_timeout": 4.0,
            }
        )


@contextmanager
def firing_range(folder: Path) -> Iterator[Range]:
    """The stack, up while the body runs."""
    home, orders = folder / "home", folder / "orders"
    orders.mkdir(parents=True)
    model = write_toy_model(folder / "toy-model", hidden_size=24)
    tables = {party: write_csv(folder / f"{party}.csv", sentences(party, 60)) for party in PARTIES}
    own = write_csv(folder / "own.csv", sentences("coordinator", 60))
    recipe = Recipe.model_validate(
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
            "gate": dict.fromkeys(("max_metric_drop", "max_party_drop", "max_loss_ratio", "max_norm_ratio")),
            "round_timeout": 120.0,
            "grace": 60.0,
        }
    )
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        HARNESS: "tests.faults.injection",
        ORDERS: str(orders),
        "PREFECT_LOGGING_TO_API_ENABLED": "false",  # nobody reads them, and they are half of the writes
    }
    try:
        up(home, PARTIES, extra_environment=environment)
        prepare_data(recipe, home)
        stores = {party: store_from_settings(load_role_settings(home, party)) for party in PARTIES}
        portable = with_local_model(recipe, home).without_paths()
        yield Range(home, orders, portable, coordinator_store(home), stores)
    finally:
        down(home)
