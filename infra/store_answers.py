"""What an object store answers, put into the error tree and into ages, without its address or headers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from fedmodels.errors import FedcartError, IntegrityError, StoreBusy, StoreRefused, StoreUnavailable

CONDITION_FAILED = {"PreconditionFailed", "412"}
"""Answers to a conditional write that came too late."""
CONFLICT = {"ConditionalRequestConflict", "OperationAborted", "409"}
"""Answers to one of several conditional writes at once: nothing is decided, and it may be tried again."""
MISSING = {"NoSuchKey", "404", "NotFound", "NoSuchUpload"}
_FULL = {"InsufficientStorage", "XMinioStorageFull", "507"}
"""Answers of a store that has no room: who asks again is told the same until somebody makes room."""
_BUSY = {
    *CONFLICT,
    *("SlowDown", "SlowDownRead", "SlowDownWrite", "TooManyRequests", "RequestLimitExceeded", "429"),
    *("Throttling", "ThrottlingException"),
    *("InternalError", "500"),
    *("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"),
}
"""Answers after which the same request may do better: the last ones say that bytes changed on their way."""
_AWAY = {"RequestTimeout", "RequestTimeoutException", "408"}
"""Answers that say of the line, or of what stands before the store, that the request did not get through."""
_NEVER = {501, 505}
"""Statuses above 500 that say that the store cannot do what is asked of it, now or later."""


@contextmanager
def mapped(key: str, bucket: str) -> Iterator[None]:
    """Turn what boto3 raises into the error tree, without the store's address or headers."""
    try:
        yield
    except FedcartError:
        raise
    except ClientError as error:
        raise _as_fedcart_error(error, key, bucket) from None
    except NoCredentialsError:
        raise StoreRefused(
            f"There are no credentials with which to ask the object store for {key}",
            fix="set s3_access_key_id and s3_secret_access_key in the role's fedcart.toml",
            code="store-credentials",
        ) from None
    except (BotoCoreError, ConnectionError, TimeoutError) as error:
        raise StoreUnavailable(
            f"The object store does not answer ({type(error).__name__} at {key})",
            fix="see whether it runs (fedcart status) and try again",
        ) from None


def _as_fedcart_error(error: ClientError, key: str, bucket: str) -> FedcartError:
    code, status = error_code(error), _status(error)
    if code in _FULL or status == 507:
        return StoreRefused(
            f"The object store is full ({code} at {key})",
            fix="make room in it, with fedcart runs sweep or by hand, and resume the run",
            code="store-full",
        )
    if code in _BUSY or status in (429, 500):
        return StoreBusy(f"The object store is busy with {key} ({code})", fix="try again")
    if code in _AWAY or status == 408 or (status >= 500 and status not in _NEVER):
        return StoreUnavailable(
            f"The object store does not answer for now ({code} at {key})",
            fix="see whether it runs (fedcart status) and try again",
        )
    if code == "NoSuchBucket":
        return StoreRefused(f"The bucket {bucket} does not exist", fix="create it, or set FEDCART_BUCKET")
    if code == "RequestTimeTooSkewed":
        return StoreRefused(
            f"The object store refuses {key}, since this machine's clock is a quarter of an hour off or more",
            fix="set the clock",
            code="clock-wrong",
        )
    if code in MISSING:
        return IntegrityError(f"The object {key} is missing", fix="restore it, or start a new run")
    return StoreRefused(
        f"The object store refuses {key} ({code})",
        fix="check the role's credentials and prefix with fedcart doctor",
        code="store-credentials" if code in {"InvalidAccessKeyId", "SignatureDoesNotMatch"} else None,
    )


def age_at(answer: Any, moment: datetime) -> float:
    """Seconds from `moment` to the answer, both by the store's clock, which alone is asked."""
    return max(0.0, (clock(answer) - moment).total_seconds())


def clock(answer: Any) -> datetime:
    """The store's own time at an answer: clocks of different machines are never compared."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def error_code(error: ClientError) -> str:
    """The S3 error code of a refusal."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _status(error: ClientError) -> int:
    """The HTTP status of an answer: what stands before a store, as a proxy does, knows no S3 error codes."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
