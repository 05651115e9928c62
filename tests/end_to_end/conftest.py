"""One real stack for all end-to-end tests: Prefect server, SeaweedFS, a worker per party, tiny data."""

import os
from pathlib import Path

import pytest

from fedmodels.toy_model import write_toy_model
from infra.local.stack import down, up
from tests.end_to_end.federation import (
    PARTIES,
    WATCHER,
    Federation,
    sentences,
    write_csv,
    write_parquet,
)

REPOSITORY = Path(__file__).parents[2]
"""Workers run this folder's code, wherever the environment was installed from."""


@pytest.fixture(scope="session")
def federation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("federation")
    home, private, opened = folder / "home", folder / "confidential-tables", folder / "opened.log"
    private.mkdir()
    for party in PARTIES:
        write_csv(private / f"{party}.csv", sentences(party, 90))
        write_parquet(private / f"{party}.parquet", sentences(party, 90))
    own = write_csv(folder / "own.csv", sentences("coordinator", 120))
    watcher = folder / "watcher"
    watcher.mkdir()
    forbidden = (str(private), str(home / "parties"))
    (watcher / "sitecustomize.py").write_text(WATCHER.format(forbidden=forbidden, log=str(opened)))
    made = Federation(home, private, opened, write_toy_model(folder / "toy-model"), own)
    try:
        path = os.pathsep.join([str(watcher), str(REPOSITORY)])
        up(home, PARTIES, extra_environment={"PYTHONPATH": path})
        yield made
    finally:
        for process in made.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        down(home)
