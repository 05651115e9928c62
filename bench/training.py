"""One party's local training: fedcart's loop against plain loops and against the device's arithmetic.

    python -m bench.training [--json] [--model bert-base] [--examples N] [--methods …] [--plot training.png]

Every method trains the same randomly initialised classifier on the same texts for one epoch, in batches of
32, with AdamW and clipped gradients, in a process of its own, one method after the other and round again.
Speed does not depend on what weights and tokens say: both are drawn from a seed, and the texts are as long as
sentences of product reviews (log-normal, median 19 tokens, cut to 128).

`padded` fills every text up to 128 tokens, and `batch-padded` up to the longest of its batch, both shuffled
and in float32: the loops of federated frameworks' quickstarts. `fedcart` sorts texts of like length into
batches, computes in TF32 on a GPU and in bfloat16 on a processor that has it, and moves only the embeddings
that occur.
`limit` is the time that the tokens' matrix products take at the rate which one large product reaches here.
Start-up, imports and a few steps that warm the device up are left out.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.report import emit, environment, plot_bars, run_watched, summarise
from bench.training_methods import METHODS, MODELS

KEYS = ("wall_seconds", "cpu_seconds", "examples_per_second", "peak_device_mb", "peak_pss_mb")


def main() -> None:
    """Measure, then print a table or JSON."""
    arguments = _arguments()
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in arguments.methods}
    for _ in range(arguments.repeats):
        for method in arguments.methods:
            command = [sys.executable, "-m", "bench.training_methods", method, arguments.model]
            runs[method].append(run_watched([*command, str(arguments.examples)]))
    hashes = {method: {run.pop("weights_sha256") for run in found} for method, found in runs.items()}
    devices = {run.pop("device") for found in runs.values() for run in found}
    results = {method: summarise(found) for method, found in runs.items()}
    document = {
        "benchmark": "training",
        "model": arguments.model,
        "examples": arguments.examples,
        "repeats": arguments.repeats,
        "device": " ".join(sorted(devices)),
        "results": results,
        "repeatable": {method: len(found) == 1 for method, found in hashes.items() if method != "limit"},
        "environment": environment(),
    }
    if arguments.plot:
        bars = {method: found["wall_seconds"] for method, found in results.items()}
        plot_bars(arguments.plot, f"{arguments.examples} texts, {arguments.model}", "s", bars)
    table = [["method", "wall s", "CPU s", "texts/s", "device MB", "memory MB"]]
    table += [[method, *(f"{found[key]:,.2f}" for key in KEYS)] for method, found in results.items()]
    emit(document, as_json=arguments.json, table=table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.training", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--model", choices=sorted(MODELS), default="minilm")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="draw the seconds of each method into this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
