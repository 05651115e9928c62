"""The object store as a role's settings describe it."""

from infra.object_store import ObjectStore
from infra.settings import Settings


def store_from_settings(settings: Settings) -> ObjectStore:
    """Open the bucket with the role's own credentials."""
    secret = settings.s3_secret_access_key
    return ObjectStore(
        settings.bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
        silence=settings.s3_silence,
    )
