"""S3 clients of one process: made from one session, which reads boto3's description of S3 only once.

That takes a twentieth of a second of processor time, and a client made after it three milliseconds.
"""

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from infra.loopback import is_loopback

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_MAKING = Lock()
"""Clients may be shared between threads, but a session may make only one at a time."""


def s3_client(
    endpoint: str | None,
    *,
    region: str = "us-east-1",
    access_key_id: str | None,
    secret_access_key: str | None,
    connect_timeout: float,
    read_timeout: float,
    attempts: int,
) -> "S3Client":
    """Make a client of its own connections.

    Nothing is hashed twice. What is put carries its SHA-256 in a signed header, so its body is not signed as
    well; what is fetched is held against our own SHA-256, so botocore does not check the store's.

    A store on this machine is asked directly; one elsewhere through the environment's proxy, if there is one.

    Args:
        endpoint: URL of the store; Amazon's own when not given.
        region: of the bucket.
        access_key_id: whose credentials these are; those of the environment when not given.
        secret_access_key: the other half.
        connect_timeout: seconds.
        read_timeout: seconds of silence after which the store is taken for gone.
        attempts: how often a request is sent at most, the first time included.
    """
    with _MAKING:
        return _session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            config=Config(
                signature_version="s3v4",
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                max_pool_connections=64,
                proxies={} if endpoint and is_loopback(endpoint) else None,
                retries={"mode": "standard", "total_max_attempts": attempts},
                response_checksum_validation="when_required",
                s3={
                    "payload_signing_enabled": False,
                    "addressing_style": "path" if endpoint else "auto",
                },
            ),
        )


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()
