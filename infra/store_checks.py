"""Whether an object store keeps the promises that fedcart is built on: in full for `fedcart doctor`, the two
races of writers before every run.

Each check but the first works on plain S3 clients, below `PREFIX/stack/checks/`, and removes what it wrote.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Barrier
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from fedmodels.errors import FedcartError, StoreRefused
from infra.layout import COORDINATOR, OWN, PRIVATE, own_prefix, role_prefix
from infra.object_store import ObjectStore
from infra.store_answers import CONDITION_FAILED, CONFLICT, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

RACERS = 8
PAIR = 2
"""Racers before every run. Of three or more, SeaweedFS makes some wait for a second."""
_DENIED = {"AccessDenied", "403"}
Race = tuple[list[bytes], bytes]
"""What the writers wrote that were told they won, and what stands there after all."""


@dataclass(frozen=True)
class Finding:
    """What one check found; `detail` says it for people. `passed` is `None` when nothing was checked."""

    check: str
    passed: bool | None
    detail: str


def check_store(client: "S3Client", bucket: str, prefix: str) -> tuple[Finding, ...]:
    """The promises to every role: creation, compare-and-swap and checksums, tried below `prefix`."""
    return (
        _run("a key is created once", lambda: _only_winner(*race_to_create(client, bucket, prefix))),
        _run("a key is swapped once", lambda: _only_winner(*race_to_swap(client, bucket, prefix))),
        _run("damaged bytes are refused", lambda: wrong_checksum_refused(client, bucket, prefix)),
        _run("a write is seen at once", lambda: read_after_write(client, bucket, prefix)),
    )


def check_access(role: str, store: ObjectStore, prefix: str) -> Finding:
    """Whether the store takes the role's credentials, without which no other check says anything."""
    check = f"the store takes {role}"
    try:
        store.list_folders(prefix)
    except FedcartError as error:
        return Finding(check, False, f"{error} ({error.code})")
    return Finding(check, True, "its credentials are good for its prefix")


def check_isolation(
    clients: Mapping[str, "S3Client"], prefixes: Mapping[str, str], bucket: str
) -> tuple[Finding, ...]:
    """What roles may not do: read, write or list each other's prefix; or write the coordinator's.

    Of the coordinator's private prefix parties may do nothing; of a party's own, everybody else nothing.

    Args:
        clients: role to a client with its credentials.
        prefixes: of `prefixes_of`.
        bucket: name of the bucket.
    """
    return tuple(
        _run(
            f"{role} is kept to its prefix",
            lambda role=role: strangers_refused(role, clients[role], prefixes, bucket),  # type: ignore[misc]
        )
        for role in clients
    )


def prefixes_of(roles: Collection[str]) -> dict[str, str]:
    """Every prefix of these roles, which ends with a slash, by the name of who writes there.

    That is a role, `PRIVATE` for what is the coordinator's alone, or `own/PARTY` for what is a party's alone.
    """
    parties = [role for role in roles if role != COORDINATOR]
    return {
        **{role: role_prefix(role) for role in roles},
        PRIVATE: f"{PRIVATE}/",
        **{own_prefix(party).rstrip("/"): own_prefix(party) for party in parties},
    }


def refuse_unfit(store: ObjectStore, prefix: str) -> None:
    """Race creation and swap once, before anybody relies on them.

    No winner is no fault here: the answer to one may have been lost on the way.

    Raises:
        StoreRefused: several writers were told that they won (`store-unfit`).
        TransientError: the store does not answer.
    """
    for race in (race_to_create, race_to_swap):
        with store.mapped(f"{prefix}stack/checks"):
            won, _ = race(store.client, store.bucket, prefix, PAIR)
        if len(won) > 1:
            raise StoreRefused(
                f"The object store told {len(won)} of {PAIR} writers of one key that they won",
                fix="use a store with conditional writes, and see fedcart doctor",
                code="store-unfit",
            )


def race_to_create(client: "S3Client", bucket: str, prefix: str, racers: int = RACERS) -> Race:
    """`racers` create one key at the same moment."""
    with _scratch(client, bucket, prefix) as key:
        won = _race(
            racers, lambda body: client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
        )
        return won, client.get_object(Bucket=bucket, Key=key)["Body"].read()


def race_to_swap(client: "S3Client", bucket: str, prefix: str, racers: int = RACERS) -> Race:
    """`racers` swap one key from the same version at the same moment."""
    with _scratch(client, bucket, prefix) as key:
        version = client.put_object(Bucket=bucket, Key=key, Body=b"before")["ETag"]
        won = _race(
            racers, lambda body: client.put_object(Bucket=bucket, Key=key, Body=body, IfMatch=version)
        )
        return won, client.get_object(Bucket=bucket, Key=key)["Body"].read()


def wrong_checksum_refused(client: "S3Client", bucket: str, prefix: str) -> str:
    """Put bytes with their own SHA-256, then others with the same one."""
    wrong = base64.b64encode(hashlib.sha256(b"sent").digest()).decode()
    with _scratch(client, bucket, prefix) as key:
        client.put_object(Bucket=bucket, Key=key, Body=b"sent", ChecksumSHA256=wrong)
        try:
            client.put_object(Bucket=bucket, Key=key, Body=b"received", ChecksumSHA256=wrong)
        except ClientError as error:
            return f"refused with {error_code(error)}"
    raise Broken("bytes with a wrong SHA-256 were accepted")


def read_after_write(client: "S3Client", bucket: str, prefix: str) -> str:
    """Read and list a key right after it was written."""
    with _scratch(client, bucket, prefix) as key:
        client.put_object(Bucket=bucket, Key=key, Body=b"fresh")
        body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        listed = client.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount")
    if body != b"fresh" or listed != 1:
        raise Broken("a fresh object was not read or not listed")
    return "read and listed"


def strangers_refused(role: str, client: "S3Client", prefixes: Mapping[str, str], bucket: str) -> str:
    """Try, as `role`, everything that it may not do below the others' prefixes."""
    allowed, tried = [], 0
    for other, prefix in prefixes.items():
        if prefix in (role_prefix(role), own_prefix(role)) or (role, other) == (COORDINATOR, PRIVATE):
            continue
        key = f"{prefix}stack/checks/{secrets.token_hex(4)}"
        attempts: dict[str, Callable[[], object]] = {
            "write": lambda key=key: client.put_object(Bucket=bucket, Key=key, Body=b"x")  # type: ignore[misc]
        }
        if COORDINATOR not in (role, other) or prefix.startswith(f"{OWN}/"):
            attempts["read"] = lambda key=key: client.get_object(Bucket=bucket, Key=key)  # type: ignore[misc]
            attempts["list"] = lambda prefix=prefix: client.list_objects_v2(  # type: ignore[misc]
                Bucket=bucket, Prefix=prefix
            )
        for name, attempt in attempts.items():
            tried += 1
            if not _denied(attempt):
                allowed.append(f"{name} of {other}'s objects")
    if allowed:
        raise Broken(f"not refused as such: {', '.join(allowed)}")
    return f"{tried} attempts refused"


class Broken(Exception):
    """The store does not keep a promise; the message says which."""


def _run(check: str, body: Callable[[], str]) -> Finding:
    try:
        return Finding(check, True, body())
    except Broken as error:
        return Finding(check, False, str(error))
    except (ClientError, BotoCoreError) as error:
        said = error_code(error) if isinstance(error, ClientError) else type(error).__name__
        return Finding(check, False, f"the store answered {said}")


@contextmanager
def _scratch(client: "S3Client", bucket: str, prefix: str) -> Iterator[str]:
    key = f"{prefix}stack/checks/{secrets.token_hex(8)}"
    try:
        yield key
    finally:
        with suppress(ClientError, BotoCoreError):
            client.delete_object(Bucket=bucket, Key=key)


def _race(racers: int, put: Callable[[bytes], object]) -> list[bytes]:
    """Bodies of the puts that the store says it took."""
    start = Barrier(racers)

    def run(number: int) -> bytes | None:
        body = f"racer {number}".encode()
        start.wait()
        try:
            put(body)
        except ClientError as error:
            if error_code(error) in CONDITION_FAILED | CONFLICT:
                return None
            raise
        return body

    with ThreadPoolExecutor(racers) as threads:
        return [body for body in threads.map(run, range(racers)) if body is not None]


def _only_winner(won: list[bytes], standing: bytes) -> str:
    if won != [standing]:
        raise Broken(f"{len(won)} of {RACERS} at once were told that they won")
    return f"1 of {RACERS} at once won"


def _denied(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except ClientError as error:
        return error_code(error) in _DENIED
    return False
