"""Averaging 8 models of BERT-base's size: fedcart against the physical limit, memory, and Flower.

    python -m bench.aggregation [--json] [--plot aggregation.png] [--peer-python PATH]

Every method reads the same files (fp32 deltas; `fedcart-bf16` reads the halved ones that fedcart sends by
default) in a process of its own, one method after the other and round again, so that a busy moment of the
machine hits them all. `limit` reads, multiplies, adds and writes with plain numpy and checks nothing;
`limit-sha256` also hashes every byte, as fedcart must, because the store lies between admission and this
step. `in-memory` loads every file whole. `flower` needs a Python that has flwr, which fedcart does not
install: name it with `--peer-python`. CPU seconds stand beside wall seconds; start-up and imports are
left out of both, and memory is the peak above what the process held before it began.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import MB, emit, environment, plot_bars, run_watched, summarise
from fedmodels.parameters.elements import from_float32
from fedmodels.parameters.safetensors_file import encode_header, with_dtype
from fedmodels.protocol.messages import TensorSpec

BERT_BASE = 109_482_240
METHODS = ("limit", "limit-sha256", "fedcart", "fedcart-bf16", "in-memory")
ROW = 1024


def schema_of(parameters: int, tensors: int = 200) -> tuple[TensorSpec, ...]:
    """About `parameters` fp32 numbers in matrices of 1024 columns, as a transformer has them."""
    rows = max(1, math.ceil(parameters / ROW / tensors))
    return tuple(TensorSpec(name=f"layer.{n:03d}", dtype="F32", shape=(rows, ROW)) for n in range(tensors))


def write_inputs(folder: Path, schema: tuple[TensorSpec, ...], parties: int) -> None:
    """A base model, and per party a delta of seeded noise in fp32 and in bf16."""
    for number in range(parties + 1):
        rng = np.random.default_rng(number)
        name = f"party-{number}" if number else "base"
        with (folder / f"{name}.F32").open("wb") as wide, (folder / f"{name}.BF16").open("wb") as narrow:
            wide.write(encode_header(schema))
            narrow.write(encode_header(with_dtype(schema, "BF16")))
            for spec in schema:
                values = rng.standard_normal(math.prod(spec.shape), dtype=np.float32)
                wide.write(values.data)
                narrow.write(from_float32(values, "BF16"))


def main() -> None:
    """Parse the arguments, measure, print."""
    arguments = _arguments()
    schema = schema_of(arguments.parameters)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        write_inputs(folder, schema, arguments.parties)
        runs = _measure(folder, arguments)
    results = {method: summarise(found) for method, found in runs.items()}
    document = {
        "benchmark": "aggregation",
        "parties": arguments.parties,
        "parameters": sum(math.prod(spec.shape) for spec in schema),
        "megabytes_each": round(sum(math.prod(spec.shape) for spec in schema) * 4 / MB),
        "repeats": arguments.repeats,
        "results": results,
        "environment": environment(),
    }
    if arguments.plot:
        bars = {method: found["peak_above_start_mb"] for method, found in results.items()}
        plot_bars(arguments.plot, f"Peak memory, {arguments.parties} parties", "MB", bars)
    keys = ("cpu_seconds", "wall_seconds", "peak_above_start_mb")
    table = [["method", "CPU s", "wall s", "peak MB above start"]]
    table += [[method, *(f"{found[key]:.2f}" for key in keys)] for method, found in results.items()]
    emit(document, as_json=arguments.json, table=table)


def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    commands = {
        method: [sys.executable, "-m", "bench.aggregation_methods", method, str(folder)] for method in METHODS
    }
    if arguments.peer_python:
        script = Path(__file__).with_name("peer_flower_aggregation.py")
        commands["flower"] = [str(arguments.peer_python), str(script), str(folder)]
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in commands}
    for _ in range(arguments.repeats):
        for method, command in commands.items():
            figures = run_watched(command)
            figures["peak_above_start_mb"] = round(
                figures.pop("peak_pss_mb") - figures.pop("start_pss_mb"), 1
            )
            runs[method].append(figures)
    return runs


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.aggregation", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--parties", type=int, default=8)
    parser.add_argument("--parameters", type=int, default=BERT_BASE, help="parameters of the model")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="draw the memory of each method into this file")
    parser.add_argument("--peer-python", type=Path, help="a Python interpreter that has flwr")
    parser.add_argument("--folder", type=Path, help="where the input files go for the time being")
    return parser.parse_args()


if __name__ == "__main__":
    main()
