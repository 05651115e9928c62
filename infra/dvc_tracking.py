"""Files and folders in a DVC remote, each with the small file by which DVC finds it again.

A DVC workspace is made for one release and goes with it: no cache stays that could rot, no lock that a kill
could leave, and what is tracked lies on the disk for as long as it takes to send it.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fedmodels.errors import StoreRefused, StoreUnavailable
from fedmodels.full_disk import full_disk_told
from infra.layout import recorded_prefix

if TYPE_CHECKING:
    from infra.object_store import ObjectStore
    from infra.settings import Settings

_FOLDER = ".dir"
_CHUNK_BYTES = 1024**2
MODELS, SETS = "models", "sets"
"""Names of the remotes. Two, so that who may read models is not shown the sets by which they are judged."""


@dataclass(frozen=True)
class DvcRemotes:
    """Where DVC keeps what is tracked: what everybody may know, and what only the coordinator does."""

    told: Mapping[str, Mapping[str, str | bool]]
    secret: Mapping[str, str]

    def config(self) -> str:
        """The `.dvc/config` that is committed: places, and no credentials."""
        lines = ["[core]", "    analytics = false", f"    remote = {MODELS}"]
        for name, values in self.told.items():
            lines.append(f"['remote \"{name}\"']")
            lines += [f"    {key} = {_written(value)}" for key, value in values.items()]
        return "\n".join(lines) + "\n"


def remotes_from_settings(settings: "Settings") -> DvcRemotes:
    """Below the coordinator's private prefix, which no party reads, writes or lists."""
    places: dict[str, str | None] = {"region": settings.s3_region, "endpointurl": settings.s3_endpoint}
    known = {key: value for key, value in places.items() if value is not None}
    secret = settings.s3_secret_access_key
    credentials = {
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
    }
    return DvcRemotes(
        # verified: what arrives damaged is refused, and not put into a reader's cache
        {
            name: {"url": f"s3://{settings.bucket}/{recorded_prefix(name)}", **known, "verify": True}
            for name in (MODELS, SETS)
        },
        {key: value for key, value in credentials.items() if value is not None},
    )


@dataclass
class Tracking:
    """A workspace of DVC's that lives as long as one release is recorded."""

    folder: Path
    """Empty; what is tracked is put below it, under the name that it is to have."""
    remotes: DvcRemotes
    _repo: Any
    _stages: list[Any] = field(default_factory=list)

    def track(self, paths: Mapping[str, str]) -> dict[str, bytes]:
        """Hash files and folders; return the files by which DVC finds them, by their path.

        Args:
            paths: below `folder`, with slashes, each with its remote: `MODELS` or `SETS`.
        """
        stages = self._repo.add([str(self.folder / path) for path in paths])
        for stage, remote in zip(stages, paths.values(), strict=True):
            (output,) = stage.outs
            if remote != MODELS:
                output.remote = remote
                stage.dump()
        self._stages += stages
        return {f"{path}.dvc": (self.folder / f"{path}.dvc").read_bytes() for path in paths}

    def send(self) -> int:
        """Push what is tracked and not there yet; return how many objects went.

        Raises:
            StoreUnavailable: the remote does not answer.
            StoreRefused: it refuses.
        """
        with _told():
            return int(self._repo.push([stage.addressing for stage in self._stages]))


@contextmanager
def tracking(remotes: DvcRemotes, home: Path) -> Iterator[Tracking]:
    """A workspace below `home`, private to the coordinator, which is removed at the end.

    Raises:
        InputError: the disk is full.
    """
    from dvc.repo import Repo

    home.mkdir(parents=True, exist_ok=True)
    for left in home.glob(".recording-*"):  # of a process that was killed: the repository's lock is ours
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".recording-", dir=home)).resolve()
    try:
        with full_disk_told("what a release leaves for DVC"):
            _configure(folder, remotes)
            quiet = logging.getLogger("dvc")
            before = quiet.level
            quiet.setLevel(logging.CRITICAL)  # what fails is told by an exception
            try:
                with Repo(str(folder)) as repo:
                    yield Tracking(folder, remotes, repo)
            finally:
                quiet.setLevel(before)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_damage(store: "ObjectStore", remote: str, pointer: bytes, *, thorough: bool) -> list[str]:
    """Keys of what has to go before it is sent again, since the remote does not hold it as it was sent.

    `dvc get` and `dvc.api` read what stands there without a look at its hash; `dvc pull` does look. Where a
    folder's list of files stands, DVC takes all of them to be there, so that the list goes too.

    Args:
        store: the bucket.
        remote: `MODELS` or `SETS`.
        pointer: content of the `.dvc` file that names it.
        thorough: read every object and hash it, and do not only ask for lengths.
    """
    output = yaml.safe_load(pointer)["outs"][0]
    whole = str(output["md5"])
    digests = [whole]
    if whole.endswith(_FOLDER):
        listed = store.read(_key(remote, whole), checked=False)
        if listed is None or _md5([listed]) != whole.removesuffix(_FOLDER):
            return [_key(remote, whole)]
        digests = [str(each["md5"]) for each in json.loads(listed)]
    sizes = {digest: store.size(_key(remote, digest)) for digest in digests}
    bad = [digest for digest, size in sizes.items() if size is None]
    if not bad and (thorough or sum(sizes[digest] or 0 for digest in digests) != output["size"]):
        bad = [digest for digest in sizes if _md5_at(store, _key(remote, digest)) != digest]
    return [_key(remote, digest) for digest in dict.fromkeys([*bad, whole])] if bad else []


def named_keys(store: "ObjectStore", pointer: bytes) -> frozenset[str] | None:
    """Keys of all that a `.dvc` file names in its remote; `None` where a folder's list of files is damaged.

    Args:
        store: the bucket.
        pointer: content of the `.dvc` file.
    """
    output = yaml.safe_load(pointer)["outs"][0]
    remote, whole = str(output.get("remote", MODELS)), str(output["md5"])
    keys = {_key(remote, whole)}
    if whole.endswith(_FOLDER):
        listed = store.read(_key(remote, whole), checked=False)
        if listed is None or _md5([listed]) != whole.removesuffix(_FOLDER):
            return None
        keys |= {_key(remote, str(each["md5"])) for each in json.loads(listed)}
    return frozenset(keys)


def tracked_prefix(remote: str) -> str:
    """Below it lies all that DVC keeps in a remote, by its hash."""
    return f"{recorded_prefix(remote)}/files/md5/"


def _key(remote: str, digest: str) -> str:
    return f"{tracked_prefix(remote)}{digest[:2]}/{digest[2:]}"


def _md5_at(store: "ObjectStore", key: str) -> str:
    with store.open(key) as stream:
        return _md5(iter(lambda: stream.read(_CHUNK_BYTES), b""))


def _md5(chunks: Iterable[bytes]) -> str:
    """DVC's name of the content: it tells damage, and proves nothing against whoever wants to deceive."""
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _configure(folder: Path, remotes: DvcRemotes) -> None:
    from dvc.config import Config

    inner = folder / ".dvc"
    inner.mkdir()
    (inner / "config").write_text(remotes.config(), encoding="utf-8")
    with Config(dvc_dir=str(inner), validate=False).edit("local") as config:
        config["core"] = {"no_scm": True, "site_cache_dir": str(inner / "site"), "autostage": False}
        config["cache"] = {"dir": str(inner / "cache"), "type": ["reflink", "hardlink", "copy"]}
        config["remote"] = {name: dict(remotes.secret) for name in remotes.told}


@contextmanager
def _told() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException, UploadError

    try:
        yield
    except (BotoCoreError, ConnectionError, TimeoutError):
        raise _away() from None
    except (ClientError, PermissionError):
        raise StoreRefused(
            "The store refuses what DVC sends below the coordinator's private prefix",
            fix="see that the coordinator's credentials may write and list there",
        ) from None
    except (DvcException, OSError) as error:
        if isinstance(error, UploadError):
            raise _away() from None
        raise StoreUnavailable(
            f"DVC could not send a release to its remote ({type(error).__name__})",
            fix="run fedcart release sync when the store answers",
        ) from None


def _away() -> StoreUnavailable:
    return StoreUnavailable(
        "The store does not take what DVC sends of a release",
        fix="run fedcart release sync when it answers",
    )


def _written(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value
