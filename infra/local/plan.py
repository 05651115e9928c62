"""What a stack consists of, kept in `stack.json`: its bucket, its parties and its ports."""

import errno
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fedmodels.errors import InputError, StackError
from infra.deployments.declaration import COORDINATOR, check_party
from infra.local import prefect_server, seaweedfs
from infra.local.ports import (
    GRPC_OFFSET,
    HIGHEST_PORT,
    check_port,
    free_ports,
    port_is_free,
    require_free,
)
from infra.local.seaweedfs import StorePorts
from infra.locations import stack_folder
from infra.private_files import read_json, write_json
from infra.waiting import wait_for

_RELEASE_S = 2.0
BUCKET = "fedcart"
_DVC_COPIES = "/.dvc/tmp/exps/"
"""In which DVC makes a copy of the checkout for each experiment that does not run in it."""


@dataclass(frozen=True)
class Stack:
    """One machine's stack. `home` is absolute; `declared` names what was applied to the server.

    `database` is the URL of the server's PostgreSQL, a secret; empty for SQLite below the stack's folder.
    """

    home: Path
    bucket: str
    parties: tuple[str, ...]
    server_port: int
    store: StorePorts
    declared: str = ""
    database: str = field(default="", repr=False)

    @property
    def api_url(self) -> str:
        """Of the Prefect API."""
        return prefect_server.api_url(self.server_port)

    @property
    def ui_url(self) -> str:
        """Where a person looks at runs."""
        return prefect_server.ui_url(self.server_port)

    @property
    def endpoint(self) -> str:
        """Of the object store."""
        return seaweedfs.endpoint(self.store)

    @property
    def roles(self) -> tuple[str, ...]:
        """The coordinator, then the parties."""
        return (COORDINATOR, *self.parties)


def check_home(home: Path) -> None:
    """See that a stack could lie in `home`.

    Raises:
        NotADirectoryError: it is a file, or below one.
    """
    for place in (home, *home.parents):
        if place.is_dir():
            return
        if place.exists():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(home))


def read_stack(home: Path) -> Stack | None:
    """The stack of `home` as it was last planned; `None` when there was none, or its file is garbled.

    Raises:
        NotADirectoryError: there never can be one.
    """
    check_home(home)
    document = read_json(stack_folder(home) / "stack.json") or {}
    try:
        return Stack(
            home=home.resolve(),
            bucket=document["bucket"],
            parties=tuple(document["parties"]),
            server_port=document["server_port"],
            store=StorePorts(**document["store"]),
            declared=document["declared"],
            database=document.get("database", ""),
        )
    except (KeyError, TypeError):
        return None


def switch_of_bucket(home: Path, bucket: str | None) -> str:
    """What a person has to know when the stack of `home` had another bucket than it is to have; else nothing.

    Args:
        home: folder of the stack.
        bucket: the one that was asked for, if any.
    """
    before = read_stack(home)
    if before is None or bucket in (None, before.bucket):
        return ""
    return (
        f"the bucket is {bucket} from now on; runs and releases in {before.bucket} stay there, and are seen "
        f"again with FEDCART_BUCKET={before.bucket}"
    )


def write_stack(stack: Stack) -> None:
    """Keep the plan."""
    document = asdict(stack)
    del document["home"]
    write_json(stack_folder(stack.home) / "stack.json", document)


def plan_stack(
    home: Path,
    parties: tuple[str, ...],
    *,
    bucket: str | None,
    server_port: int | None,
    s3_port: int | None,
    server_lives: bool,
    store_lives: bool,
    database: str | None = None,
) -> Stack:
    """The stack that is to run: what there was, with these parties added.

    Without a `bucket` that of the time before stays. A living server keeps its port. A dead one gets its old
    port again when that is free.

    Raises:
        StackError: a port that was asked for is taken, or a living server has another one or bucket.
        InputError: a party's name is no id, or a port no port; or `home` lies in a copy that DVC deletes.
    """
    _refuse_copy(home)
    if server_port is not None:
        check_port(server_port, "Prefect server")
    if s3_port is not None:
        check_port(s3_port, "object store", HIGHEST_PORT - GRPC_OFFSET)
    before = read_stack(home)
    known = before.parties if before else ()
    if before and server_lives and database not in (None, before.database):
        raise _other("Prefect server", "another database", "the one that was named")
    if bucket is None:
        bucket = before.bucket if before else BUCKET
    if before and store_lives and before.bucket != bucket:
        raise _other("object store", f"bucket {before.bucket}", bucket)
    return Stack(
        home=home,
        bucket=bucket,
        parties=tuple(sorted({*known, *map(check_party, parties)})),
        server_port=_server_port(before, server_port, server_lives),
        store=_store_ports(before, s3_port, store_lives),
        declared=before.declared if before else "",
        database=(before.database if before else "") if database is None else database,
    )


def _refuse_copy(home: Path) -> None:
    """See that the stack's folder stays: what `dvc exp run --temp` and `--queue` work in goes when they end.

    Its servers and workers would go on without a folder, and no command would find them.

    Raises:
        InputError: it is such a copy (`home-temporary`).
    """
    if _DVC_COPIES in home.resolve().as_posix():
        raise InputError(
            f"A stack in {home} would be left without its folder: DVC deletes this copy of the checkout when "
            "the experiment ends",
            fix="run dvc exp run without --temp and --queue",
            code="home-temporary",
        )


def _server_port(before: Stack | None, wanted: int | None, lives: bool) -> int:
    if before and lives:
        if wanted not in (None, before.server_port):
            raise _other("Prefect server", f"port {before.server_port}", str(wanted))
        return before.server_port
    if wanted is not None:
        return require_free(wanted, "Prefect server")
    if before and soon(lambda: port_is_free(before.server_port)):
        return before.server_port
    return free_ports(1)[0]


def _store_ports(before: Stack | None, wanted: int | None, lives: bool) -> StorePorts:
    if before and lives:
        if wanted not in (None, before.store.s3):
            raise _other("object store", f"port {before.store.s3}", str(wanted))
        return before.store
    if before and wanted in (None, before.store.s3) and soon(lambda: before.store.free):
        return before.store
    if wanted is not None:
        require_free(wanted, "object store")
        require_free(wanted + GRPC_OFFSET, "object store's gRPC")
    return StorePorts.choose(wanted)


def soon(free: Callable[[], bool]) -> bool:
    """Whether ports are free, or soon: a killed process holds its own until its last thread has ended."""
    return wait_for(free, timeout=_RELEASE_S) or False


def _other(what: str, has: str, wanted: str) -> StackError:
    return StackError(
        f"The {what} runs with {has}, not {wanted}", fix="run fedcart down first", code="stack-differs"
    )
