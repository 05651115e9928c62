"""DVC's remote in the bucket: where `dvc push` keeps the coordinator's data sets and models.

The committed `.dvc/config` names the remote; address and credentials go into `.dvc/config.local`, which
git ignores. The remote lies below the coordinator's private prefix, which no party can write, read or
list: the sets by which models are judged are among what is pushed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.errors import InputError
from infra.layout import PRIVATE

if TYPE_CHECKING:
    from infra.settings import Settings

REMOTE = "store"


def configure_remote(root: Path, settings: "Settings") -> str:
    """Write the remote's address and the coordinator's credentials into `.dvc/config.local`.

    Nobody but its owner can read that file.

    Args:
        root: the folder that holds `.dvc`.
        settings: the coordinator's.

    Returns:
        The remote's URL.

    Raises:
        InputError: `root` is no DVC repository.
    """
    folder = root / ".dvc"
    if not (folder / "config").is_file():
        raise InputError(
            f"The folder {root} is no DVC repository",
            fix="run this in a clone of fedcart",
            code="dvc-missing",
        )
    secret = settings.s3_secret_access_key
    remote = {
        "url": f"s3://{settings.bucket}/{PRIVATE}/dvc",
        "region": settings.s3_region,
        "endpointurl": settings.s3_endpoint,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
    }
    write_local_config(folder, REMOTE, remote)
    return str(remote["url"])


def write_local_config(
    folder: Path, name: str, remote: Mapping[str, str | None], core: Mapping[str, str] | None = None
) -> None:
    """Write a remote's address and secrets into `config.local`, which nobody but its owner can read.

    Args:
        folder: `.dvc`.
        name: of the remote.
        remote: its options; `None` takes one away, and what else stands there stays.
        core: further keys of the section `core`.
    """
    from dvc.config import Config

    local = folder / "config.local"
    local.touch(mode=0o600)
    local.chmod(0o600)
    with Config(dvc_dir=str(folder), validate=False).edit("local") as config:
        known = config.setdefault("remote", {}).setdefault(name, {})
        for option in remote:
            known.pop(option, None)
        known.update({option: value for option, value in remote.items() if value is not None})
        config.setdefault("core", {}).update(core or {})
