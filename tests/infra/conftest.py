"""One stack for all tests below this folder, each of which brings up again what the one before broke."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local import stack
from infra.local.plan import Stack

FLOWS = Path(__file__).parent / "flow_modules"
REPOSITORY = Path(__file__).parents[2]
"""Workers run this folder's code, wherever the environment was installed from."""
PARTIES = ("shop-a", "shop-b")
BringUp = Callable[..., Stack]


@pytest.fixture(scope="session")
def bring_up() -> BringUp:
    """`up` with the tests' own flows."""

    def call(home: Path, parties: tuple[str, ...] = PARTIES, **options: object) -> Stack:
        return stack.up(
            home,
            parties,
            entrypoints={
                "training_entrypoint": "tiny_flows.training",
                "session_entrypoint": "tiny_flows.session",
            },
            extra_environment={"PYTHONPATH": os.pathsep.join([str(FLOWS), str(REPOSITORY)])},
            **options,  # type: ignore[arg-type]
        )

    return call


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home").resolve()
    try:
        yield folder
    finally:
        stack.down(folder)


@pytest.fixture
def running(home: Path, bring_up: BringUp) -> Stack:
    return bring_up(home)
