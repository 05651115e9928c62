"""Where a party's data versions are pushed to, and what that place answers, as errors of ours."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedmodels.errors import InputError, StoreRefused, StoreUnavailable
from infra.layout import own_prefix

if TYPE_CHECKING:
    from infra.settings import Settings

_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket", "403", "401"}
_TIMEOUT_S = 10


@dataclass(frozen=True, repr=False)
class Remote:
    """A remote as DVC configures it. Its options hold secrets, and its URL may: neither is ever shown."""

    url: str
    options: Mapping[str, str]

    @property
    def name(self) -> str:
        """Tells one remote from another, and not where it is."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def document(self) -> dict[str, str]:
        """The section of DVC's configuration."""
        return {"url": self.url, **self.options}


def remote_of(settings: "Settings", party: str) -> Remote:
    """The remote that a party's settings name; without one, its own prefix of the bucket."""
    named = settings.versions
    if named.remote is not None:
        options = {name: value.get_secret_value() for name, value in named.options.items()}
        return Remote(named.remote, options)
    secret = settings.s3_secret_access_key
    given = {
        "region": settings.s3_region,
        "endpointurl": settings.s3_endpoint,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
        "connect_timeout": str(_TIMEOUT_S),
    }
    known = {name: value for name, value in given.items() if value is not None}
    return Remote(f"s3://{settings.bucket}/{own_prefix(party)}dvc", known)


@contextmanager
def remote_told(party: str) -> Iterator[None]:
    """What goes wrong with a remote, in one sentence without its address.

    Raises:
        StoreUnavailable: it does not answer (`remote-unreachable`).
        StoreRefused: it refuses the party (`remote-refused`).
        InputError: DVC cannot use what the settings name (`remote-invalid`).
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException
    from dvc_objects.fs.errors import ConfigError

    try:
        yield
    except (DvcException, ConfigError, ImportError) as error:
        raise InputError(
            f"The remote for data versions of party {party} cannot be used ({type(error).__name__})",
            fix="correct [versions] in the party's fedcart.toml, and install DVC's extra for its kind of URL",
            code="remote-invalid",
        ) from None
    except FileNotFoundError:
        raise _gone(party) from None
    except PermissionError:
        raise _refused(party) from None
    except ClientError as error:
        raise (_refused if error.response["Error"]["Code"] in _REFUSED else _gone)(party) from None
    except (BotoCoreError, OSError):
        raise _gone(party) from None


def _gone(party: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"The remote for data versions of party {party} does not answer, or is not there",
        fix="see that it runs and that [versions] in the party's fedcart.toml names it, and pin again",
        code="remote-unreachable",
    )


def _refused(party: str) -> StoreRefused:
    return StoreRefused(
        f"The remote for data versions of party {party} refuses it",
        fix="correct its credentials, or its rights there, and pin again",
        code="remote-refused",
    )
