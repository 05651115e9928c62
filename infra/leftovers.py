"""Objects with their ages, and multipart uploads that nobody completed: what sweeping looks at."""

from collections.abc import Iterator
from dataclasses import dataclass

from botocore.exceptions import ClientError

from infra.object_store import ObjectStore
from infra.store_answers import MISSING, age_at, error_code


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it: `size` in bytes, `age` in seconds since its last put."""

    key: str
    size: int
    age: float


@dataclass(frozen=True)
class Upload:
    """A multipart upload that nobody has completed. `size` in bytes of its parts; `age` in seconds."""

    key: str
    upload_id: str
    size: int
    age: float


def list_objects(store: ObjectStore, prefix: str) -> Iterator[StoredObject]:
    """Objects below `prefix`, in order of their keys, each with its size and age."""
    with store.mapped(prefix):
        pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=prefix)
        for page in pages:
            for item in page.get("Contents", []):
                yield StoredObject(item["Key"], item["Size"], age_at(page, item["LastModified"]))


def list_uploads(store: ObjectStore, prefix: str) -> Iterator[Upload]:
    """Multipart uploads below `prefix` that nobody completed or aborted."""
    with store.mapped(prefix):
        pages = store.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=store.bucket, Prefix=prefix
        )
        for page in pages:
            for item in page.get("Uploads", []):
                key, upload_id = item["Key"], item["UploadId"]
                size = _upload_bytes(store, key, upload_id)
                if size is not None:
                    yield Upload(key, upload_id, size, age_at(page, item["Initiated"]))


def abort_upload(store: ObjectStore, upload: Upload) -> None:
    """Remove an upload's parts. Harmless when it was completed or aborted meanwhile."""
    with store.mapped(upload.key):
        try:
            store.client.abort_multipart_upload(
                Bucket=store.bucket, Key=upload.key, UploadId=upload.upload_id
            )
        except ClientError as error:
            if error_code(error) not in MISSING:
                raise


def _upload_bytes(store: ObjectStore, key: str, upload_id: str) -> int | None:
    """Bytes of an upload's parts, or `None` when it ended meanwhile."""
    pages = store.client.get_paginator("list_parts").paginate(
        Bucket=store.bucket, Key=key, UploadId=upload_id
    )
    try:
        return sum(part["Size"] for page in pages for part in page.get("Parts", []))
    except ClientError as error:
        if error_code(error) in MISSING:
            return None
        raise
