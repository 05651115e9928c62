"""What a round costs beside training: real work pools, real store, no training, no scores at parties.

    python -m bench.round_overhead --json

Four parties play one warm-up round and ten more, with updates of 40 KB and of 16 MB. A round's time is
the coordinator's wall time from the end of the round before to its own, so nothing is left out. Beside it
stands the physical limit: the same bytes, put and fetched by one client on the same store.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import emit, environment, plot_bars
from bench.toy_run import toy_recipe
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


def main() -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--plot", type=Path, help="also draw the figures into this PNG or SVG file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedcart-bench-") as folder:
        figures = measure(Path(folder))
    rows = [(size, f"{figures[f'seconds_{size}']:.3f}", f"{figures[f'limit_{size}']:.3f}") for size in SIZES]
    emit(
        {**figures, "environment": environment()},
        as_json=arguments.json,
        table=[("update", "seconds a round", "store alone"), *rows],
    )
    if arguments.plot:
        bars = {f"{size}: a round": figures[f"seconds_{size}"] for size in SIZES}
        bars |= {f"{size}: the same bytes, store alone": figures[f"limit_{size}"] for size in SIZES}
        plot_bars(arguments.plot, "A round without training, 4 parties", "s", bars)


def measure(home: Path) -> dict[str, Any]:
    """Play the rounds of every size on one stack; sizes take turns, so that they meet the same machine."""
    recipes = {size: _recipe(home, size, *shape) for size, shape in SIZES.items()}
    figures: dict[str, Any] = {"parties": len(PARTIES), "rounds": ROUNDS}
    try:
        up(home, PARTIES)
        with PeakMemory(lambda: process_ids(home)) as memory:
            for size, recipe in recipes.items():
                prepare_data(recipe, home)
                summary = _play(recipe, home, size)
                seconds = [row["seconds"]["total"] for row in summary["rounds"][1:]]
                bytes_up = summary["rounds"][-1]["parties"][PARTIES[0]]["bytes_up"]
                figures |= {
                    f"seconds_{size}": round(statistics.median(seconds), 3),
                    f"all_seconds_{size}": seconds,
                    f"bytes_{size}": bytes_up,
                    f"limit_{size}": round(_store_alone(coordinator_store(home), bytes_up), 3),
                }
        figures["peak_pss_mb"] = round(memory.peak_mb, 1)
    finally:
        down(home)
    return figures


def _recipe(home: Path, size: str, hidden: int, layers: int, vocabulary: int) -> Recipe:
    return toy_recipe(
        home,
        f"overhead-{size}",
        PARTIES,
        40,
        {"hidden_size": hidden, "layers": layers, "vocabulary": vocabulary},
        num_rounds=ROUNDS + 1,
        min_available_parties=len(PARTIES),
        local={"epochs": 0},
        fine_tuning=None,
        evaluate_at_parties=False,
    )


def _play(recipe: Recipe, home: Path, size: str) -> dict[str, Any]:
    request = Request(recipe, f"overhead-{size}")
    return follow(home, request.run, begin(request, home))


def _store_alone(store: ObjectStore, size: int) -> float:
    """Seconds to put and fetch what a round moves: an update up and down for each party, and the model."""
    data = bytes(size)
    begin_time = time.perf_counter()
    for party in PARTIES:
        store.put_blob(f"coordinator/bench/{party}", data)
        store.read(f"coordinator/bench/{party}")
    store.put_blob("coordinator/bench/model", data * 2)
    for _party in PARTIES:
        store.read("coordinator/bench/model")
    return time.perf_counter() - begin_time


if __name__ == "__main__":
    main()
