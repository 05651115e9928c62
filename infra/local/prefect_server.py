"""The local Prefect server on 127.0.0.1, with SQLite or a PostgreSQL, telling nobody about itself."""

import os
import subprocess
import sys
import urllib.error
from collections.abc import Mapping
from pathlib import Path

from fedmodels.errors import InputError, StackError
from infra.local.ports import HOST
from infra.loopback import direct, sparing

_POSTGRESQL = frozenset({"postgresql+asyncpg", "postgresql", "postgres"})
_PASSED_SETTINGS = frozenset({"FEDCART_TORCH_THREADS", "FEDCART_POLL_SECONDS"})


def api_url(port: int) -> str:
    """Where clients and workers find the API."""
    return f"http://{HOST}:{port}/api"


def ui_url(port: int) -> str:
    """Where a person looks at runs."""
    return f"http://{HOST}:{port}"


def command(port: int) -> list[str]:
    """How the server is started."""
    return [sys.executable, "-m", "infra.deployments.server", HOST, str(port)]


def database_url(given: str) -> str:
    """The URL of a PostgreSQL as Prefect takes it.

    >>> database_url("postgresql://user:secret@db:5432/prefect")
    'postgresql+asyncpg://user:secret@db:5432/prefect'

    Raises:
        InputError: it is none; the URL, which holds a password, is not repeated.
    """
    scheme, separator, rest = given.partition("://")
    if not (separator and rest and scheme in _POSTGRESQL):
        raise InputError(
            "The database is not named by a URL of PostgreSQL",
            fix="name it like postgresql://USER:PASSWORD@HOST:5432/DATABASE",
            code="database-invalid",
        )
    return f"postgresql+asyncpg://{rest}"


def environment(home: Path, port: int, database: str = "") -> dict[str, str]:
    """The server's environment; without a `database` (a URL) it has SQLite in `home`.

    Only its own page may call the API from a browser. Task runs and events are written in batches once
    a second: one by one, as by default, each task run costs it twice the processor time. Its threads share
    two heaps of glibc: with one each, what SQLite frees in one is of no use to the others, and the server
    grows by 0.2 to 1 MB a round for hundreds of rounds (`python -m bench.soak`).
    """
    named = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database} if database else {}
    return (
        clean_environment()
        | named
        | {
            "MALLOC_ARENA_MAX": "2",
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": api_url(port),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ui_url(port),
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
            "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),
        }
    )


def clean_environment(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what would point a process of the stack elsewhere.

    A login to another Prefect server, or one role's settings, must not reach the processes of all. A proxy
    stays, for what they fetch elsewhere, but not for the stack's own servers.
    """
    kept = {
        name: value
        for name, value in (os.environ if source is None else source).items()
        if not name.startswith("PREFECT_") and (not name.startswith("FEDCART_") or name in _PASSED_SETTINGS)
    }
    return (
        kept
        | sparing(kept)
        | {
            "DO_NOT_TRACK": "1",
            "DVC_NO_ANALYTICS": "1",
            "GX_ANALYTICS_ENABLED": "false",
            "PYTHONUNBUFFERED": "1",
        }
    )


def answers(port: int) -> bool:
    """Whether the API says that it is healthy."""
    try:
        with direct().open(f"{api_url(port)}/health", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def prepare_database(home: Path) -> None:
    """Create the tables ahead of the first start, which then takes 6 s instead of 14 s of processor time.

    Raises:
        StackError: Prefect could not.
    """
    if (home / "prefect.db").exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env=clean_environment() | {"PREFECT_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise StackError(
            f"The database of the Prefect server could not be created; it said: {said[-1]}",
            fix="see that the disk is not full and that the constraints file was used to install",
            code="prefect-database",
        )
