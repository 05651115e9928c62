"""What holds for every test: no analytics, none of the user's own settings, repeatable random draws."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.update(
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DVC_NO_ANALYTICS="1",
    GX_ANALYTICS_ENABLED="false",
    TOKENIZERS_PARALLELISM="false",
)
# Several processes train at once in some tests: one thread each is faster than all threads for each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A developer's own stack and server must not be found, let alone used, by a test.
for name in [name for name in os.environ if name.startswith(("FEDCART_", "PREFECT_API_"))]:
    del os.environ[name]

TESTS = Path(__file__).parent
SHARE_A_STACK = ("end_to_end", "infra")
"""Folders whose tests share one running stack, and so one process when several run the suite."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests stay together in one process under `pytest -n`: those of a file, or of a stack."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        item.add_marker(pytest.mark.xdist_group(folder if folder in SHARE_A_STACK else item.path.stem))


settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")
