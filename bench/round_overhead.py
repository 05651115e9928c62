"""What a round costs beside training: real work pools, real store, no training, no scores at parties.

    python -m bench.round_overhead --json

Four parties play one warm-up round and ten more, with updates of 40 KB and of 16 MB. A round's time is
the coordinator's wall time from the end of the round before to its own, so nothing is left out. Beside it
stands the physical limit: the same bytes, put and fetched by one client on the same store.

Without training the model stays as it is, and no party fetches it again. So a third run takes one step a
round, which makes a new model each time, and counts what a round costs beside the time in that step.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import emit, environment, plot_bars
from bench.toy_run import GATE_OF_NO_QUALITY, toy_recipe
from fedmodels.recipe import Recipe
from flows.data_preparation import prepare_data
from flows.following import Request, begin, coordinator_store, follow
from infra.local.memory import PeakMemory
from infra.local.stack import down, process_ids, up
from infra.object_store import ObjectStore

PARTIES = ("shop-a", "shop-b", "shop-c", "shop-d")
ROUNDS = 10
SIZES = {"40kb": (16, 1, 880), "16mb": (256, 8, 14_360)}
"""Name to width, layers and vocabulary of the toy model, whose bfloat16 update has about that size."""
MOVING = "16mb_moving"
"""Name of the run whose model changes; its updates have 16 MB."""


def main() -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--plot", type=Path, help="also draw the figures into this PNG or SVG file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedcart-bench-") as folder:
        figures = measure(Path(folder))
    rows = [
        (name, f"{figures[f'seconds_{name}']:.3f}", f"{figures[f'limit_{name}']:.3f}")
        for name in (*SIZES, MOVING)
    ]
    emit(
        {**figures, "environment": environment()},
        as_json=arguments.json,
        table=[("update", "seconds a round", "store alone"), *rows],
    )
    if arguments.plot:
        bars = {f"{name}: a round": figures[f"seconds_{name}"] for name in (*SIZES, MOVING)}
        bars |= {
            f"{name}: the same bytes, store alone": figures[f"limit_{name}"] for name in (*SIZES, MOVING)
        }
        plot_bars(arguments.plot, "A round beside training, 4 parties", "s", bars)


def measure(home: Path) -> dict[str, Any]:
    """Play the rounds of every size on one stack, one after the other."""
    recipes = {size: _recipe(home, size, *shape, epochs=0) for size, shape in SIZES.items()}
    recipes[MOVING] = _recipe(home, MOVING, *SIZES["16mb"], epochs=1)
    figures: dict[str, Any] = {"parties": len(PARTIES), "rounds": ROUNDS}
    try:
        up(home, PARTIES)
        with PeakMemory(lambda: process_ids(home)) as memory:
            for name, recipe in recipes.items():
                prepare_data(recipe, home)
                rounds = _play(recipe, home, name)["rounds"]
                seconds = [row["seconds"]["overhead" if name == MOVING else "total"] for row in rounds[1:]]
                update = rounds[-1]["parties"][PARTIES[0]]["bytes_up"]
                moved = rounds[-1]["bytes"]
                figures |= {
                    f"seconds_{name}": round(statistics.median(seconds), 3),
                    f"all_seconds_{name}": seconds,
                    f"bytes_{name}": moved,
                    f"limit_{name}": round(_store_alone(coordinator_store(home), update, moved["down"]), 3),
                }
        figures["peak_pss_mb"] = round(memory.peak_mb, 1)
    finally:
        down(home)
    return figures


def _recipe(home: Path, name: str, hidden: int, layers: int, vocabulary: int, *, epochs: int) -> Recipe:
    return toy_recipe(
        home,
        f"overhead-{name.replace('_', '-')}",
        PARTIES,
        40,
        {"hidden_size": hidden, "layers": layers, "vocabulary": vocabulary},
        num_rounds=ROUNDS + 1,
        min_available_parties=len(PARTIES),
        local={"epochs": epochs, "batch_size": 64},
        fine_tuning=None,
        gate=GATE_OF_NO_QUALITY,
        evaluate_at_parties=False,
    )


def _play(recipe: Recipe, home: Path, name: str) -> dict[str, Any]:
    request = Request(recipe, f"overhead-{name.replace('_', '-')}")
    return follow(home, request.run, begin(request, home))


def _store_alone(store: ObjectStore, update: int, models: int) -> float:
    """Seconds to put and fetch what a round moves, one object after the other.

    Args:
        store: the bucket.
        update: bytes of each party's, which is put once and fetched twice: admitted, then averaged.
        models: bytes that the parties fetched of the announced model in all.
    """
    data = bytes(update)
    begin_time = time.perf_counter()
    for party in PARTIES:
        store.put_blob(f"coordinator/bench/{party}", data)
        for _ in range(2):
            store.read(f"coordinator/bench/{party}")
    store.put_blob("coordinator/bench/model", data * 2)
    if models:
        for _party in PARTIES:
            store.read("coordinator/bench/model")
    return time.perf_counter() - begin_time


if __name__ == "__main__":
    main()
