"""Flower's weighted average of the files that `bench.aggregation` wrote; runs in a Python that has flwr.

    PYTHON bench/peer_flower_aggregation.py FOLDER

Imports nothing of fedcart. The replies are in memory when Flower's strategy gets them, so reading the
files belongs to the time and the memory that are measured, as it does for the other methods.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords


def read_reply(path: Path) -> RecordDict:
    """One party's tensors as the record in which a Flower client sends them."""
    arrays = {}
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, entry in header.items():
            data = np.fromfile(file, np.float32, math.prod(entry["shape"])).reshape(entry["shape"])
            arrays[name] = Array(data)
    return RecordDict({"arrays": ArrayRecord(arrays), "metrics": MetricRecord({"num-examples": 1})})


def main() -> None:
    """Aggregate and print CPU and wall seconds and the memory held before."""
    folder = Path(sys.argv[1])
    start = psutil.Process().memory_full_info().pss
    wall, cpu = time.perf_counter(), time.process_time()
    replies = [read_reply(path) for path in sorted(folder.glob("party-*.F32"))]
    aggregate = aggregate_arrayrecords(replies, "num-examples")
    with (folder / "out").open("wb") as out:
        for name in aggregate:
            out.write(aggregate[name].data)
    figures = {
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "start_pss_mb": round(start / 1e6, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
