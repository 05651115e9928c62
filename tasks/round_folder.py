"""The folder in which a process keeps the files of the round that it is in."""

import shutil
from pathlib import Path

from infra.fault_points import fault_effect


@fault_effect
def open_round_folder(run_folder: Path, round_number: int) -> Path:
    """Where this round's intermediate files lie; the folders of earlier rounds are removed."""
    folder = run_folder / f"{round_number:04d}"
    if not folder.exists():
        for old in run_folder.glob("[0-9][0-9][0-9][0-9]"):
            shutil.rmtree(old)
        folder.mkdir(parents=True)
    return folder
