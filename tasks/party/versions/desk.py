"""Where a party keeps the versions of its tables, in a folder that only it may open.

    versions/.git                      their documents and `.dvc` files, with their history
    versions/.dvc                      their contents: DVC's cache, its configuration, the remote's secrets
    versions/RECIPE/0003.json          one document a version
    versions/RECIPE/train.dvc          of the newest version, for whoever works there with dvc
    versions/.state/key                of the keyed hashes; it leaves the party in no way
    versions/.state/noted.json         the newest commit that was seen: a history without it was rewritten
    versions/.state/pushed.json        what lies at which remote
    versions/.state/seen/RECIPE.json   size and time of change of the tables that were pinned last
    versions/.state/uses/RECIPE-0003/RUN   a run that trained on the version

Nothing below `.state/` is committed or pushed. The name is none that a recipe can have.
"""

import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fedmodels.data.versions import SHORTEST_PREFIX, PinnedVersion, broken_at
from fedmodels.errors import InputError, IntegrityError
from infra.file_lock import locked_file
from infra.private_files import read_json, write_json, write_private
from infra.versioning.locks import busy, versions_lock
from infra.versioning.remote import Remote

if TYPE_CHECKING:
    from infra.versioning.history import History

LOCK_TIMEOUT_S = 600.0
"""A pin of a large table takes seconds, a push of it minutes."""
_KEY_BYTES = 32


@dataclass(frozen=True)
class VersionDesk:
    """One party's versions. `workspace` is the party's own folder."""

    party: str
    workspace: Path
    remote: Remote
    patience: float = LOCK_TIMEOUT_S

    @property
    def root(self) -> Path:
        """The repository."""
        return self.workspace / "versions"

    @property
    def state(self) -> Path:
        """What is neither committed nor pushed."""
        return self.root / ".state"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Work alone in the folder, which is made when it is missing.

        Raises:
            StackError: another process of the party's has been at work there for too long (`versions-busy`).
        """
        for place in (self.root, self.state):
            place.mkdir(parents=True, mode=0o700, exist_ok=True)
            place.chmod(0o700)
        with locked_file(versions_lock(self.workspace), self.patience) as held:
            if not held:
                raise busy("another fedcart")
            yield

    def ensure_key(self) -> None:
        """Make the key of a folder that holds no version yet."""
        if not (self.state / "key").exists():
            write_private(self.state / "key", secrets.token_bytes(_KEY_BYTES))

    def key(self) -> bytes:
        """The key of the keyed hashes.

        Raises:
            IntegrityError: it is missing or cut short (`history-damaged`).
        """
        path = self.state / "key"
        key = path.read_bytes() if path.exists() else b""
        if len(key) != _KEY_BYTES:
            raise IntegrityError(
                f"The key of the data versions of party {self.party} is missing or damaged",
                fix="restore the folder versions from a backup, or move it aside to begin anew",
                code="history-damaged",
            )
        return key

    def note(self, commit: str) -> None:
        """Remember the newest commit."""
        write_json(self.state / "noted.json", {"commit": commit})

    def has_history(self) -> bool:
        """Whether anything was ever pinned here.

        Raises:
            IntegrityError: something was, and nothing is left of it (`history-rewritten`).
        """
        from infra.versioning.history import is_begun

        if is_begun(self.root):
            return True
        if (self.state / "noted.json").exists():
            raise self._rewritten("is gone")
        return False

    def history(self) -> "History":
        """The history, begun where there never was any.

        Raises:
            IntegrityError: as `has_history`, for none is begun over the place of one that is gone; or git's
                files there are damaged (`history-damaged`).
        """
        from infra.versioning.history import History

        self.has_history()
        return History(self.root)

    def read(self, history: "History", recipe: str) -> tuple[PinnedVersion, ...]:
        """The versions of a recipe, oldest first, once it is sure that they are those that were pinned.

        Raises:
            IntegrityError: they are not (`history-rewritten`), or cannot be read (`history-damaged`).
        """
        noted = (read_json(self.state / "noted.json") or {}).get("commit")
        if noted is not None and not history.holds(str(noted)):
            raise self._rewritten("lacks the commit that was noted last")
        files = history.folder(recipe)
        documents = [files[name] for name in sorted(files) if name.endswith(".json")]
        try:
            versions = tuple(map(PinnedVersion.model_validate_json, documents))
        except ValidationError:
            raise self._rewritten(f"has a document of {recipe} that is none") from None
        if (number := broken_at(versions, self.key())) is not None:
            raise self._rewritten(f"does not hold together at version {number} of {recipe}")
        return versions

    def uses(self, version: PinnedVersion) -> Path:
        """The folder with an empty file for each run that trained on the version."""
        return self.state / "uses" / f"{version.recipe}-{version.number:04d}"

    def note_use(self, version: PinnedVersion, run: str) -> None:
        """Remember that a run is trained on the version."""
        uses = self.uses(version)
        uses.mkdir(parents=True, exist_ok=True)
        (uses / run).touch()

    def used_by(self, recipe: str, run: str) -> tuple[int, ...]:
        """Numbers of the versions of a recipe that a run was trained on, in order."""
        noted = (self.state / "uses").glob(f"{recipe}-[0-9]*/{run}")
        return tuple(sorted(int(path.parent.name.removeprefix(f"{recipe}-")) for path in noted))

    def pushed(self) -> set[tuple[str, int]]:
        """Recipe and number of what was pushed to the remote that the settings name now."""
        noted = (read_json(self.state / "pushed.json") or {}).get(self.remote.name, [])
        return {(str(recipe), int(number)) for recipe, number in noted}

    def note_pushed(self, version: PinnedVersion) -> None:
        """Remember that the version lies at the remote."""
        document = read_json(self.state / "pushed.json") or {}
        pushed = sorted(self.pushed() | {(version.recipe, version.number)})
        write_json(self.state / "pushed.json", {**document, self.remote.name: pushed})

    def note_not_pushed(self, versions: Collection[PinnedVersion]) -> None:
        """Remember that these do not lie at the remote any more."""
        document = read_json(self.state / "pushed.json") or {}
        gone = {(version.recipe, version.number) for version in versions}
        write_json(self.state / "pushed.json", {**document, self.remote.name: sorted(self.pushed() - gone)})

    def _rewritten(self, how: str) -> IntegrityError:
        return IntegrityError(
            f"The history of the data versions of party {self.party} was rewritten: it {how}",
            fix="restore the folder versions from a backup, or move it aside to begin anew",
            code="history-rewritten",
        )


def find_version(versions: tuple[PinnedVersion, ...], wanted: str, recipe: str) -> PinnedVersion:
    """The version of this number, or whose keyed hash begins so; of several with one content, the newest.

    Raises:
        InputError: there is none (`version-unknown`), or the hash's beginning is that of several.
    """
    if wanted.isdecimal() and len(wanted) < SHORTEST_PREFIX:
        found = [version for version in versions if version.number == int(wanted)]
    elif len(wanted) >= SHORTEST_PREFIX:
        found = [version for version in versions if version.keyed_hash.startswith(wanted.lower())]
    else:
        found = []
    if len({version.keyed_hash for version in found}) != 1:
        there = f"1 to {len(versions)}" if versions else "none"
        raise InputError(
            f"The recipe {recipe} has no data version {wanted!r} at this party: there are {there}",
            fix=f"name a number or {SHORTEST_PREFIX} characters of a hash from fedcart data versions",
            code="version-unknown",
        )
    return found[-1]
