"""Pinning a party's table, against `sha256sum` and a copy of it.

    python -m bench.pinning [--json] [--plot pinning.png] [--megabytes 400] [--repeats 5]

A Parquet table of random texts is pinned into a new folder of versions: copied, hashed, counted, committed.
In turn with it, so that both meet the same machine, `sha256sum` reads the table and `cp` copies it. Nothing
is pushed: that is the network's time. Then once more what costs less or more: the same table with the same
time of change, the same bytes with another one, and a table of the same length in which the last row is
another: it is read twice, since all before it is what was pinned.
Seconds of wall clock and of processor, medians; DVC was imported before. All files lie below `--folder`, by
default the system's for temporary files: five times the table has to have room there.

The exit status is 1 when a pin takes more than 1.5 times as long as `sha256sum` and copy, by the clock.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.report import MB, emit, environment, plot_bars, progress_bar, summarise
from fedmodels.recipe import Recipe
from infra.settings import Tables
from infra.versioning.remote import Remote
from tasks.party.versions.desk import VersionDesk
from tasks.party.versions.pinning import Pinned, pin_tables

PROMISED = 1.5
"""Most times of `sha256sum` and copy."""
TEXT_BYTES = 1000
RECIPE = cast("Recipe", SimpleNamespace(name="bench", data=SimpleNamespace(text="text", label="label")))


def write_table_of(path: Path, megabytes: float, *, last: str = "0") -> None:
    """A Parquet file of about that size: hexadecimal texts, not compressed; the last one is all `last`."""
    rows = max(1, int(megabytes * MB / TEXT_BYTES))
    drawn = np.random.default_rng(0).bytes(rows * TEXT_BYTES // 2).hex()
    texts = [drawn[place : place + TEXT_BYTES] for place in range(0, len(drawn), TEXT_BYTES)]
    texts[-1] = last * TEXT_BYTES
    labels = pa.array(np.arange(rows) % 2)
    table = pa.table({"text": pa.array(texts), "label": labels})
    pq.write_table(table, path, compression="none", use_dictionary=False)


def compare(folder: Path, megabytes: float, repeats: int) -> dict[str, dict[str, float]]:
    """Median seconds of each way, `wall` and `cpu`; the ways take turns."""
    table, other = folder / "table.parquet", folder / "other.parquet"
    write_table_of(table, megabytes)
    write_table_of(other, megabytes, last="1")
    _pinned(folder / "warm", table)
    shutil.rmtree(folder / "warm")
    runs: dict[str, list[dict[str, float]]] = {}
    with progress_bar() as bar:
        task = bar.add_task("pinning", total=repeats)
        for _ in range(repeats):
            for name, seconds in _one_turn(folder, table, other):
                runs.setdefault(name, []).append(seconds)
            bar.advance(task)
    return {name: summarise(found) for name, found in runs.items()}


def _one_turn(folder: Path, table: Path, other: Path) -> Iterator[tuple[str, dict[str, float]]]:
    live, versions, copy = folder / "live.parquet", folder / "party", folder / "copy"
    shutil.copyfile(table, live)
    os.utime(live, (1e9, 1e9))  # long ago: what has just been written is read again in any case
    yield "sha256sum and copy", _timed(lambda: _sum_and_copy(live, copy))
    copy.unlink()
    yield "pin", _timed(lambda: _pinned(versions, live))
    yield "unchanged", _timed(lambda: _pinned(versions, live, made=False))
    os.utime(live, (2e9, 1.1e9))
    yield "same bytes, another time", _timed(lambda: _pinned(versions, live, made=False))
    shutil.copyfile(other, live)
    os.utime(live, (1e9, 1.2e9))
    yield "last row another, same length", _timed(lambda: _pinned(versions, live))
    shutil.rmtree(versions)
    live.unlink()


def _sum_and_copy(table: Path, copy: Path) -> None:
    subprocess.run(["sha256sum", table], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["cp", "--reflink=auto", table, copy], check=True)


def _pinned(workspace: Path, table: Path, *, made: bool = True) -> Pinned:
    desk = VersionDesk("bench", workspace, Remote(str(workspace / "remote"), {}))
    pinned = pin_tables(desk, RECIPE, Tables(train=table), push=False)
    if pinned.made is not made:
        raise RuntimeError(f"a version was {'not ' * made}made")
    return pinned


def _timed(body: Callable[[], object]) -> dict[str, float]:
    """Seconds of the clock, and of processor in this process and its children."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    body()
    return {"wall": time.perf_counter() - wall, "cpu": sum(os.times()[:4]) - cpu}


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fedcart-pinning-", dir=folder) as made:
        yield Path(made)


def main() -> None:
    """Parse the arguments, measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.pinning", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--megabytes", type=float, default=400.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files lie for as long as it runs")
    parser.add_argument("--plot", type=Path, help="draw the seconds into this PNG or SVG file")
    arguments = parser.parse_args()
    with _scratch(arguments.folder) as folder:
        found = compare(folder, arguments.megabytes, arguments.repeats)
    peer, pin = found["sha256sum and copy"], found["pin"]
    ratio = {kind: round(pin[kind] / peer[kind], 3) for kind in ("wall", "cpu")}
    document: dict[str, Any] = {
        "benchmark": "pinning",
        "megabytes": arguments.megabytes,
        "repeats": arguments.repeats,
        "seconds": found,
        "ratio": ratio,
        "promised": PROMISED,
        "load": os.getloadavg()[0],
        "environment": environment(),
    }
    if arguments.plot:
        bars = {name: seconds["wall"] for name, seconds in found.items()}
        plot_bars(arguments.plot, f"{arguments.megabytes:g} MB", "s", bars)
    table = [["way", "seconds", "of processor"]]
    table += [[name, f"{seconds['wall']:.3f}", f"{seconds['cpu']:.3f}"] for name, seconds in found.items()]
    emit(document, as_json=arguments.json, table=table)
    if ratio["wall"] > PROMISED:
        sys.stderr.write(f"promise missed: {ratio['wall']} times sha256sum and copy, at most {PROMISED:g}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
