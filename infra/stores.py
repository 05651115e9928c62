"""The object store as a role's settings describe it."""

from infra.lookout import LOOK_TIMEOUT_S
from infra.object_store import ObjectStore
from infra.settings import Settings


def store_from_settings(settings: Settings) -> ObjectStore:
    """Open the bucket with the role's own credentials."""
    return _store(settings, silence=settings.s3_silence, attempts=5)


def store_for_looks(settings: Settings) -> ObjectStore:
    """The same bucket for looks that nobody waits for: each is given up soon, since another one follows."""
    return _store(settings, silence=min(settings.s3_silence, LOOK_TIMEOUT_S), attempts=1)


def _store(settings: Settings, *, silence: float, attempts: int) -> ObjectStore:
    secret = settings.s3_secret_access_key
    return ObjectStore(
        settings.bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
        silence=silence,
        attempts=attempts,
    )
