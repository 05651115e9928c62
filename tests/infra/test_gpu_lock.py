"""The machine's lock on a GPU: it lets training go on without Prefect, and never two at once."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from fedmodels.errors import PrefectAway
from infra.deployments import gpu_slot as module
from infra.deployments.gpu_slot import gpu_slot
from infra.file_lock import locked_file
from tests.infra.gpu_holder import hold

LIMIT = "fedcart-gpu-shop-a"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "gpu.lock"


@pytest.fixture(params=["gone", "silent"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a server that is gone, or that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        if request.param == "gone":
            listening.close()
        with temporary_settings({PREFECT_API_URL: url}):
            yield url


def never() -> bool:
    return False


def test_two_sessions_of_a_machine_train_one_after_the_other_without_prefect(lock: Path, away: str):
    """Whoever is killed leaves the place free at once."""
    other = hold(LIMIT, lock, away)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with gpu_slot(LIMIT, lock, timeout=0.5, given_up=never) as held:
            assert not held
    finally:
        other.kill()
        other.wait()
    with gpu_slot(LIMIT, lock, timeout=10, given_up=never) as held:
        assert held


def free() -> bool:
    return True


def taken() -> bool:
    return False


def gone() -> bool:
    raise PrefectAway("The Prefect server does not answer", fix="wait")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what the server says of the slot, and whether it still gives it when it is asked for it."""

    def says(look: Callable[[], bool], gives: bool = True) -> None:
        @contextmanager
        def slot(_limit: str) -> Iterator[bool]:
            yield gives

        monkeypatch.setattr(module, "has_free_slot", lambda _limit: look())
        monkeypatch.setattr(module, "_slot", slot)

    return says


@pytest.mark.parametrize(("first", "second"), [(free, gone), (gone, free), (gone, gone), (free, free)])
def test_lock_and_slot_do_not_train_side_by_side(
    server: Callable[..., None], lock: Path, first: Callable[[], bool], second: Callable[[], bool]
):
    """The server dies or comes back between two sessions: one has the slot too, the other asks without."""
    server(first)
    with gpu_slot(LIMIT, lock, timeout=0, given_up=never) as held:
        assert held
        server(second)
        with gpu_slot(LIMIT, lock, timeout=0, given_up=never) as too:
            assert not too
    with gpu_slot(LIMIT, lock, timeout=0, given_up=never) as held:
        assert held


@pytest.mark.parametrize(("look", "gives"), [(taken, True), (free, False)])
def test_who_has_no_slot_does_not_keep_the_lock(
    server: Callable[..., None], lock: Path, look: Callable[[], bool], gives: bool
):
    server(look, gives)
    with gpu_slot(LIMIT, lock, timeout=0, given_up=never) as held:
        assert not held
        with locked_file(lock, 0) as lock_is_free:
            assert lock_is_free


def test_a_training_that_fails_leaves_the_place_free(server: Callable[..., None], lock: Path):
    server(gone)
    with pytest.raises(ZeroDivisionError), gpu_slot(LIMIT, lock, timeout=0, given_up=never):
        raise ZeroDivisionError
    with gpu_slot(LIMIT, lock, timeout=0, given_up=never) as held:
        assert held


def test_who_waits_for_the_lock_leaves_when_the_run_is_closed(server: Callable[..., None], lock: Path):
    server(gone)
    looks = iter((False, True))
    with gpu_slot(LIMIT, lock, timeout=0, given_up=never):  # noqa: SIM117 (one waits for the other)
        with gpu_slot(LIMIT, lock, timeout=60, given_up=lambda: next(looks)) as held:
            assert not held
    assert next(looks, None) is None
