"""Showing something in the Prefect UI: best effort, since a view must not fail what it shows."""

from collections.abc import Callable

import httpx
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from infra.deployments.starting import server_answers


def best_effort(*shows: Callable[[], object]) -> None:
    """Make artifacts, one after the other; a server that is away or refuses one is a warning in the log."""
    if not server_answers():
        get_run_logger().warning("The Prefect server does not answer; artifacts are left out")
        return
    for show in shows:
        try:
            show()
        except (PrefectException, httpx.HTTPError) as error:
            get_run_logger().warning("The Prefect server did not take an artifact: %s", type(error).__name__)
