"""Showing something in the Prefect UI: best effort, since a view must not fail what it shows."""

import re
from collections.abc import Callable

import httpx
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from infra.deployments.starting import server_answers

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
"""All of ASCII's: a backslash before any of it is not shown."""


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


def plain(text: str) -> str:
    """Somebody else's sentence as one line in which Markdown sees no image, link, table or HTML."""
    return _PUNCTUATION.sub(r"\\\g<0>", " ".join(text.split()))
