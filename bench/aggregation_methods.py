"""The methods that `bench.aggregation` compares, each run in a process of its own.

    python -m bench.aggregation_methods METHOD FOLDER

Prints CPU and wall seconds of the method, and the memory (PSS) that the process held before it.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from fedmodels.aggregation.fedavg import Source, WeightedDelta, fedavg
from fedmodels.parameters.safetensors_file import parse_header
from fedmodels.protocol.messages import TensorSpec
from infra.file_hash import file_sha256

CHUNK_BYTES = 4 * 1024 * 1024


def schema_of(file: Path) -> tuple[TensorSpec, ...]:
    """The tensors of a file, as fp32."""
    with file.open("rb") as opened:
        text = opened.read(int.from_bytes(opened.read(8), "little"))
    return tuple(
        TensorSpec(name=name, dtype="F32", shape=stored.shape) for name, stored in parse_header(text).items()
    )


def data_offset(file: Path) -> int:
    """Where a file's data begins."""
    with file.open("rb") as opened:
        return 8 + int.from_bytes(opened.read(8), "little")


def limit(folder: Path, deltas: list[Path], *, hashed: bool) -> None:
    """Read, multiply, add and write with buffers that are used again, and with nothing else."""
    files = [
        (folder / "base.F32").open("rb", buffering=0),
        *(path.open("rb", buffering=0) for path in deltas),
    ]
    for file in files:
        file.seek(data_offset(folder / "base.F32"))
    digests = [hashlib.sha256() for _ in range(len(files) + 1)]
    total, read = np.empty(CHUNK_BYTES // 4, np.float32), np.empty(CHUNK_BYTES // 4, np.float32)
    weight = np.float32(1 / len(deltas))
    with (folder / "out").open("wb", buffering=0) as out:
        while size := files[0].readinto(total.data):
            sums, values = total[: size // 4], read[: size // 4]
            if hashed:
                digests[0].update(sums.data)
            for file, digest in zip(files[1:], digests[1:], strict=False):
                file.readinto(values.data)
                if hashed:
                    digest.update(values.data)
                np.multiply(values, weight, out=values)
                np.add(sums, values, out=sums)
            if hashed:
                digests[-1].update(sums.data)
            out.write(sums.data)
    for file in files:
        file.close()


def in_memory(folder: Path, deltas: list[Path]) -> None:
    """Load every file whole, then average: what fits in few lines, and in much memory."""
    offset = data_offset(folder / "base.F32")
    loaded = [np.fromfile(path, np.float32, offset=offset) for path in deltas]
    model = np.fromfile(folder / "base.F32", np.float32, offset=offset)
    for delta in loaded:
        model += np.float32(1 / len(deltas)) * delta
    model.tofile(folder / "out")


def ours(folder: Path, dtype: str, deltas: list[Path], hashes: dict[Path, str]) -> None:
    """fedcart's own, from open files as from the bodies of stored objects."""
    base = folder / "base.F32"
    with base.open("rb", buffering=0) as base_file:
        files = [path.open("rb", buffering=0) for path in deltas]
        updates = [
            WeightedDelta(Source(path.name, file, hashes[path]), 1 / len(deltas))
            for path, file in zip(deltas, files, strict=True)
        ]
        source = Source("base", base_file, hashes[base])
        fedavg(schema_of(base), source, updates, dtype, folder / "out")
        for file in files:
            file.close()


def main() -> None:
    """Run one method and print its figures as JSON."""
    method, folder = sys.argv[1], Path(sys.argv[2])
    dtype = "BF16" if method == "fedcart-bf16" else "F32"
    deltas = sorted(folder.glob(f"party-*.{dtype}"))
    work: Callable[[], None]
    if method.startswith("fedcart"):
        hashes = {path: file_sha256(path) for path in [folder / "base.F32", *deltas]}
        work = lambda: ours(folder, dtype, deltas, hashes)  # noqa: E731
    elif method == "in-memory":
        work = lambda: in_memory(folder, deltas)  # noqa: E731
    else:
        work = lambda: limit(folder, deltas, hashed=method == "limit-sha256")  # noqa: E731
    start = psutil.Process().memory_full_info().pss
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    figures = {
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "start_pss_mb": round(start / 1e6, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
