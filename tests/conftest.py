"""What holds for every test: no analytics, none of the user's own settings, repeatable random draws."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

os.environ.update(
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DVC_NO_ANALYTICS="1",
    GX_ANALYTICS_ENABLED="false",
    # Whatever asks a Prefect server that is not there fails, and starts none of its own for ten seconds.
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="false",
    TOKENIZERS_PARALLELISM="false",
    COLUMNS="250",  # read once, when the first command is imported
)
# Several processes train at once in some tests: one thread each is faster than all threads for each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A developer's own stack and server must not be found, let alone used, by a test.
for name in [name for name in os.environ if name.startswith(("FEDCART_", "PREFECT_API_"))]:
    del os.environ[name]

TESTS = Path(__file__).parent
SHARE_A_STACK = ("end_to_end", "infra")
"""Folders whose tests share one running stack, and so one process when several run the suite."""
NEED_NO_SHARED_STACK = {
    *("end_to_end/test_full_disk.py", "end_to_end/test_interrupted_demonstration.py"),
    "end_to_end/test_pipeline.py",
    *("infra/local/test_borrowing.py", "infra/local/test_postgresql.py", "infra/test_housekeeping.py"),
    *("infra/test_gpu_lock.py", "infra/test_heartbeats.py", "infra/test_looking.py"),
    *("infra/test_nursery.py", "infra/test_object_store.py", "infra/test_packages.py"),
    *("infra/test_store_checks.py", "infra/test_store_model.py", "infra/test_versions_on_store.py"),
}
"""Long files of these folders that start what they need, or need nothing: any process can run them."""


class TogetherByStack(LoadScopeScheduling):
    """Deals out tests to several processes: those of a file, or of a shared stack, to one of them."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        inside = Path(path).relative_to(TESTS.name)
        shares = inside.parts[0] in SHARE_A_STACK and inside.as_posix() not in NEED_NO_SHARED_STACK
        return inside.parts[0] if shares else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """What `pytest -n` asks for."""
    return TogetherByStack(config, log)


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away is asked as often as ever, without the pauses of up to 8 s in between."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda _self, _context: 0.0)


class StoppedClock:
    """Stands for the module `time`: it moves only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., StoppedClock]:
    """Let these modules read one clock that moves only while one of them sleeps."""

    def stop(*modules: str) -> StoppedClock:
        clock = StoppedClock()
        for module in modules:
            monkeypatch.setattr(f"{module}.time", clock)
        return clock

    return stop


settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")
