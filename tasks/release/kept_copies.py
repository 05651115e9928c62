"""Kept models on this machine's disk, of runs that are pruned: what `fedcart predict` made or a run left."""

from collections.abc import Iterable
from pathlib import Path

from infra.layout import COORDINATOR
from infra.locations import kept_model_folder
from infra.whole_files import parts_left, remove_folder
from tasks.working_files import Leftover, age_of, size_of


def find_copies(home: Path, runs: Iterable[str]) -> list[Leftover]:
    """The copies of these runs' models; `name` is relative to `home`."""
    return [leftover for run in runs for leftover in _of(home, kept_model_folder(home, run))]


def remove_copies(home: Path, runs: Iterable[str]) -> list[Leftover]:
    """Remove what `find_copies` finds; return what went. Nobody ever finds half a model there."""
    gone = []
    for run in runs:
        folder = kept_model_folder(home, run)
        if found := _of(home, folder):
            remove_folder(folder)
            gone += found
    return gone


def _of(home: Path, folder: Path) -> list[Leftover]:
    """The folder, if it is there, and what a kill left of one."""
    paths = [*([folder] if folder.is_dir() else []), *parts_left(folder)]
    return [
        Leftover(
            COORDINATOR, path.relative_to(home).as_posix(), size_of(path), age_of(path), "its run is pruned"
        )
        for path in paths
    ]
