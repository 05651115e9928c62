"""One stack for all tests below this folder, each of which brings up again what the one before broke."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local import stack
from infra.local.plan import Stack, read_stack
from tests.store_alone import store_alone

FLOWS = Path(__file__).parent / "flow_modules"
REPOSITORY = Path(__file__).resolve().parents[2]
"""Workers run the code of this checkout, whichever one is installed."""
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
            preload=(),
            extra_environment={"PYTHONPATH": os.pathsep.join((str(FLOWS), str(REPOSITORY)))},
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


@pytest.fixture(scope="module")
def store_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of which only the store runs: for modules that ask nothing else."""
    with store_alone(tmp_path_factory.mktemp("store"), PARTIES) as folder:
        planned = read_stack(folder)
        assert planned is not None
        yield planned
