"""What every benchmark shares: where it ran, one JSON document, one small plot, a watched child process."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PSS_PERIOD_SECONDS = 0.02
MB = 1_000_000


def environment() -> dict[str, Any]:
    """Facts that a figure means nothing without: processor, cores, memory, versions, commit."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": dict(_versions("fedcart", "numpy", "torch", "transformers", "prefect")),
        "commit": _commit(),
    }


def emit(document: Mapping[str, Any], *, as_json: bool, table: Sequence[Sequence[str]] = ()) -> None:
    """Print the document as JSON, or `table` (its first row is the header) for people."""
    if as_json:
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def progress_bar() -> Progress:
    """A bar on standard error that counts, and vanishes; nothing where that is no terminal."""
    notes = Console(stderr=True)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal)


def run_watched(command: Sequence[str]) -> dict[str, Any]:
    """Run a child that prints one JSON document; add the most memory (PSS) that it was seen to hold.

    PSS is sampled from outside every 20 ms: it counts no page cache, and shared pages only once.

    Raises:
        RuntimeError: the child failed; its standard error is in the message.
    """
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0
    while child.poll() is None:
        peak = max(peak, _pss(child.pid))
        time.sleep(PSS_PERIOD_SECONDS)
    output, faults = child.communicate()
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {faults.strip()}")
    return {**json.loads(output), "peak_pss_mb": round(peak / MB, 1)}


def summarise(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over repeated runs."""
    return {key: round(median(run[key] for run in runs), 3) for key in runs[0]}


def plot_bars(path: Path, title: str, unit: str, bars: Mapping[str, float]) -> None:
    """Draw labelled horizontal bars, the first on top, into a PNG or SVG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.5 * len(bars) + 1), layout="constrained")
    axes = figure.subplots()
    drawn = axes.barh(list(bars), list(bars.values()), color="#3b6ea5")
    axes.bar_label(drawn, fmt=f"{{:,.4g}} {unit}", padding=3)
    axes.invert_yaxis()
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    figure.savefig(path, dpi=150)


def plot_lines(
    path: Path,
    title: str,
    horizontal: str,
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
) -> None:
    """Draw labelled lines through (x, y) points into a PNG or SVG file.

    Args:
        path: of the file.
        title: of the whole picture.
        horizontal: name of the axis that the panels share.
        panels: name of the vertical axis to its lines, one above the other. A line of the same name has the
            same colour in each.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1 + 3 * len(panels)), layout="constrained")
    every = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for axes, (vertical, lines) in zip(every, panels.items(), strict=True):
        for name, points in lines.items():
            shade = f"C{names.index(name)}"
            axes.plot([x for x, _ in points], [y for _, y in points], shade, label=name, linewidth=1.2)
        axes.set_ylabel(vertical)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    every[0].set_title(title, loc="left")
    every[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    every[-1].set_xlabel(horizontal)
    figure.savefig(path, dpi=150)


def _pss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except psutil.Error:
        return 0  # it has just ended


def _versions(*names: str) -> Iterator[tuple[str, str]]:
    """Of those that are installed: not every benchmark needs them all."""
    for name in names:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()
