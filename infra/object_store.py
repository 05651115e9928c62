"""The object store in bytes and strings: S3 through boto3, with the few promises that fedcart needs.

Those are: a key created once stays (`create`), a key moves only from the version that was read (`swap`),
and what is read is checked against our own SHA-256 (`download`, `read_blob`). A multipart ETag is no
hash, so it is only ever handed back to the store as a version.
"""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from uuid import uuid4

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header

from fedmodels.errors import IntegrityError, StoreBusy
from fedmodels.full_disk import full_disk_told
from infra.fault_points import fault_effect
from infra.s3_clients import s3_client
from infra.store_answers import CONDITION_FAILED, MISSING, age_at, error_code, mapped

CHUNK_BYTES = 1024 * 1024
"""Fits the processor's cache: a download of larger chunks takes half as much processor time again."""
DOWNLOAD_TRIES = 3
SILENCE_S = 60.0
"""Seconds after which a store that says nothing more is taken for gone, and asked again."""
DAMAGED_READS = 4
"""How often bytes that are not what was put are read before that is believed."""
DAMAGED = "store-damaged"
"""Code of bytes that arrive other than they were put, and otherwise each time."""
ROTTEN = "object-damaged"
"""Code of an object whose bytes in the store are not those that were put."""
_SHA256 = "sha256"
"""Name under which an object carries our hash of its content: not every store checks what it sends."""
_LARGEST_SINGLE_PUT = 4 * 1024**3
_MULTIPART = TransferConfig(multipart_chunksize=64 * 1024**2, max_concurrency=4)


class ByteStream(Protocol):
    """Bytes that come in order; `read` returns an empty value at the end."""

    def read(self, amount: int, /) -> bytes:
        """Return at most `amount` bytes."""
        ...


class ObjectStore:
    """One bucket, seen with one role's credentials. Safe to share between threads."""

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str = "us-east-1",
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        silence: float = SILENCE_S,
        attempts: int = 5,
    ) -> None:
        self.bucket = bucket
        self.client = s3_client(
            endpoint,
            region=region,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            connect_timeout=min(silence, 5.0),
            read_timeout=silence,
            attempts=attempts,
        )
        # A put would wait for the store's word to go on, and a line that breaks off within that word leaves
        # botocore (1.43) reading the end of the stream again and again, for ever.
        self.client.meta.events.unregister("before-call.s3", add_expect_header)

    @fault_effect
    def read(self, key: str, limit: int | None = None, *, checked: bool = True) -> bytes | None:
        """The object's bytes, or `None` when there is no such object; arguments as of `read_version`."""
        found = self.read_version(key, limit, checked=checked)
        return found[0] if found else None

    @fault_effect
    def read_version(
        self, key: str, limit: int | None = None, *, checked: bool = True
    ) -> tuple[bytes, str] | None:
        """The object's bytes and its version (ETag), or `None` when there is no such object.

        Args:
            key: of the object.
            limit: bytes that the caller takes. Of a longer object one byte more is returned, which tells
                that it is longer, and the rest is not fetched.
            checked: hold the bytes against the hash that was put with them, if there is one. Those that
                are not what was put are read `DAMAGED_READS` times: they may come whole the next time.

        Raises:
            IntegrityError: they are the same wrong ones each time, so they are damaged where they stand
                (`object-damaged`).
            StoreBusy: they are wrong in another way each time, as on a line that damages what passes
                (`store-damaged`).
        """
        wrong = set()
        for _ in range(DAMAGED_READS):
            found = self._fetch(key, limit)
            if found is None:
                return None
            data, version, sha256 = found
            partial = limit is not None and len(data) > limit
            if not checked or partial or sha256 is None or hashlib.sha256(data).hexdigest() == sha256:
                return data, version
            wrong.add(data)
        raise _rotten(key) if len(wrong) == 1 else _damaged(key)

    def _fetch(self, key: str, limit: int | None) -> tuple[bytes, str, str | None] | None:
        """What arrives of an object this time, its version, and the hash that was put with it."""
        with self.mapped(key):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=key)
                with closing(answer["Body"]) as body:
                    data = body.read() if limit is None else _at_most(body, limit + 1)
                return data, answer["ETag"], answer["Metadata"].get(_SHA256)
            except ClientError as error:
                if error_code(error) in MISSING:
                    return None
                raise

    @fault_effect
    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""
        return self._asked_of(key) is not None

    @fault_effect
    def create(self, key: str, data: bytes) -> bytes:
        """Put `data` unless the key exists; return what stands there afterwards.

        A client's own retry of a put that succeeded is answered like a lost race, so after a refusal
        the object is read again: equal bytes mean that an earlier try of ours won.
        """
        with self.mapped(key):
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=data,
                    IfNoneMatch="*",
                    ChecksumSHA256=_checksum(data),
                    Metadata=_named_hash(data),
                )
            except ClientError as error:
                if error_code(error) not in CONDITION_FAILED:
                    raise
                standing = self.read(key)
                if standing is None:
                    raise StoreBusy(
                        f"The object {key} vanished while it was created", fix="try again"
                    ) from None
                return standing
            return data

    @fault_effect
    def swap(self, key: str, data: bytes, version: str) -> bool:
        """Replace the object if it still has `version`; say whether `data` stands there now."""
        with self.mapped(key):
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=data,
                    IfMatch=version,
                    ChecksumSHA256=_checksum(data),
                    Metadata=_named_hash(data),
                )
            except ClientError as error:
                if error_code(error) not in CONDITION_FAILED:
                    raise
                return self.read(key) == data
            return True

    @fault_effect
    def upload(self, key: str, path: Path, sha256: str) -> int:
        """Put a file at its content-addressed key, checked by the store; return its size in bytes.

        Putting the same content again is harmless.
        """
        size = path.stat().st_size
        with self.mapped(key):
            if size > _LARGEST_SINGLE_PUT:
                extra = {"ChecksumAlgorithm": "SHA256"}
                with path.open("rb") as file:  # `upload_file` would wrap what the store answers
                    self.client.upload_fileobj(file, self.bucket, key, ExtraArgs=extra, Config=_MULTIPART)
            else:
                checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
                with path.open("rb") as file:
                    self.client.put_object(
                        Bucket=self.bucket, Key=key, Body=file, ContentLength=size, ChecksumSHA256=checksum
                    )
        return size

    @fault_effect
    def put_blob(self, key: str, data: bytes) -> None:
        """Put small content at a content-addressed key."""
        with self.mapped(key):
            self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=data,
                ChecksumSHA256=_checksum(data),
                Metadata=_named_hash(data),
            )

    def size(self, key: str) -> int | None:
        """The object's size in bytes, or `None` when there is no such object."""
        answer = self._asked_of(key)
        return None if answer is None else cast("int", answer["ContentLength"])

    @fault_effect
    @contextmanager
    def open(self, key: str) -> Iterator[ByteStream]:
        """Stream an object's bytes; errors in the middle of the stream are mapped too.

        Raises:
            IntegrityError: there is no such object.
        """
        with self.mapped(key):
            body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
            try:
                yield body
            finally:
                body.close()

    @fault_effect
    def download(self, key: str, path: Path, sha256: str) -> int:
        """Fetch a blob into `path`, which appears only when its hash is right; return its size.

        Bytes that were damaged on the way may come whole the next time, so a wrong hash is tried again
        `DOWNLOAD_TRIES` times in all.

        Raises:
            IntegrityError: the bytes do not have the hash that names them.
            InputError: the disk is full.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{uuid4().hex}.part")  # two sessions of a party share a folder
        try:
            for _ in range(DOWNLOAD_TRIES):
                with full_disk_told(path.name), self.open(key) as stream, part.open("wb") as file:
                    digest, size = _copy_hashing(stream, file)
                if digest == sha256:
                    break
            if digest != sha256:
                raise IntegrityError(
                    f"The object {key} has SHA-256 {digest[:12]}…, expected {sha256[:12]}…",
                    fix="restore it from a backup, or start a new run",
                )
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return size

    @fault_effect
    def read_blob(self, key: str, sha256: str) -> bytes:
        """The bytes of a small content-addressed object, checked.

        Raises:
            IntegrityError: the object is missing, or its bytes do not have the hash that names them.
        """
        data = self.read(key)
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError(
                f"The object {key} is {'missing' if data is None else 'not what its hash says'}",
                fix="restore it from a backup, or start a new run",
            )
        return data

    def holds(self, key: str, sha256: str) -> bool:
        """Whether there is an object at `key` and its bytes have this SHA-256; reads all of it."""
        digest = hashlib.sha256()
        try:
            with self.open(key) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
        except IntegrityError:  # it is missing
            return False
        return digest.hexdigest() == sha256

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Keys below `prefix`, in order."""
        with self.mapped(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            for page in pages:
                yield from (item["Key"] for item in page.get("Contents", []))

    def list_versions(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Keys below `prefix`, in order, each with what differs once it was put again."""
        with self.mapped(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            for item in chain.from_iterable(page.get("Contents", []) for page in pages):
                yield item["Key"], f"{item['ETag']} {item['Size']} {item['LastModified']:%Y%m%d%H%M%S}"

    def list_folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below `prefix`, in order."""
        with self.mapped(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, Delimiter="/"
            )
            found = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
        return [folder.removeprefix(prefix).rstrip("/") for folder in found]

    @fault_effect
    def age(self, key: str) -> float | None:
        """Seconds since the object's last put, or `None` when there is no such object.

        Both moments are the store's own, in whole seconds: no clock of this machine is asked, and the
        answer is off by a second at most.
        """
        answer = self._asked_of(key)
        return None if answer is None else age_at(answer, answer["LastModified"])

    def put_at(self, key: str) -> datetime | None:
        """When the object was put last, by the store's clock, or `None` when there is no such object."""
        answer = self._asked_of(key)
        return None if answer is None else cast("datetime", answer["LastModified"])

    def _asked_of(self, key: str) -> Any:
        """What the store says of an object, or `None` when there is no such object."""
        with self.mapped(key):
            try:
                return self.client.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if error_code(error) in MISSING:
                    return None
                raise

    @fault_effect
    def delete(self, key: str) -> None:
        """Remove an object. Harmless when there is none."""
        with self.mapped(key):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def mapped(self, key: str) -> AbstractContextManager[None]:
        """Turn what boto3 raises into the error tree."""
        return mapped(key, self.bucket)


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _named_hash(data: bytes) -> dict[str, str]:
    return {_SHA256: hashlib.sha256(data).hexdigest()}


def _damaged(key: str) -> StoreBusy:
    return StoreBusy(f"The object {key} did not arrive as it was put", fix="try again", code=DAMAGED)


def _rotten(key: str) -> IntegrityError:
    return IntegrityError(
        f"The object {key} is damaged in the store: {DAMAGED_READS} reads brought the same bytes, "
        "and they are not those that were put",
        fix="restore it from a backup",
        code=ROTTEN,
    )


def _at_most(stream: ByteStream, amount: int) -> bytes:
    """Read until `amount` bytes are there or the stream ends; a stream that is cut short raises."""
    found = b""
    while len(found) < amount and (chunk := stream.read(amount - len(found))):
        found += chunk
    return found


def _copy_hashing(stream: ByteStream, file: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
        file.write(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
