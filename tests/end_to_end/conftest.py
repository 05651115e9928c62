"""One real stack for all end-to-end tests: Prefect server, SeaweedFS, a worker per party, tiny data."""

import tomllib

import pytest

from fedmodels.toy_model import write_toy_model
from infra.local.stack import down
from infra.locations import role_settings
from infra.role_settings import update_role_settings
from tests.end_to_end.federation import (
    PARTIES,
    WATCHER,
    WATCHER_FOLDER,
    Federation,
    sentences,
    write_csv,
    write_parquet,
)


@pytest.fixture(scope="session")
def tables(tmp_path_factory) -> Federation:
    """Tables of the parties and a tiny model, and no stack yet."""
    folder = tmp_path_factory.mktemp("federation")
    home, private, opened = folder / "home", folder / "confidential-tables", folder / "opened.log"
    private.mkdir()
    for party in PARTIES:
        write_csv(private / f"{party}.csv", sentences(party, 90))
        write_parquet(private / f"{party}.parquet", sentences(party, 90))
    own = write_csv(folder / "own.csv", sentences("coordinator", 120))
    return Federation(home, private, opened, write_toy_model(folder / "toy-model"), own)


@pytest.fixture(scope="session")
def federation(tables: Federation):
    made, home = tables, tables.home
    watcher = home.parent / WATCHER_FOLDER
    watcher.mkdir()
    watched = (str(made.private), str(home / "parties"), str(role_settings(home, "coordinator")))
    (watcher / "sitecustomize.py").write_text(WATCHER.format(watched=watched, log=str(made.opened)))
    try:
        made.up()
        yield made
    finally:
        for process in made.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        down(home)


@pytest.fixture(scope="session")
def plain(federation: Federation) -> dict:
    """A run without any fault, against which the others are held."""
    recipe = federation.recipe("plain", num_rounds=3, min_available_parties=2)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    return federation.document("train", "--recipe", str(recipe), "--run", "plain-1")


@pytest.fixture
def settings_of(federation):
    """Change a role's settings for one test."""
    before = {}

    def change(role, **changes):
        path = role_settings(federation.home, role)
        standing = tomllib.loads(path.read_text())
        before.setdefault(role, {name: standing.get(name) for name in changes})
        update_role_settings(federation.home, role, changes)

    yield change
    for role, changes in before.items():
        update_role_settings(federation.home, role, changes)
