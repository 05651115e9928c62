"""What a party keeps of rows that their owners took back, in a folder that only it may open. No Prefect.

    withdrawn/key            32 random bytes, of the keyed hashes; they leave the party in no way
    withdrawn/RECIPE.json    keyed hashes of the texts, and a name of them all under the same key
    withdrawn/RECIPE.left    the party has left the recipe: its sessions join no run of it

No text stands there. A list that cannot be read keeps the party from training: else rows that were taken back
would be learned from again, and nobody would notice.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fedmodels.data.withdrawn import NOTHING, Withdrawn, keyed_name, keyed_texts
from fedmodels.errors import DataRefused, PolicyForbids, StackError
from infra.file_lock import locked_file
from infra.private_files import read_json, write_json, write_private

LOCK_TIMEOUT_S = 60.0
_KEY_BYTES = 32


def withdrawn_file(workspace: Path, recipe: str) -> Path:
    """Where the keyed hashes of a recipe's withdrawn rows lie."""
    return _folder(workspace) / f"{recipe}.json"


def read_withdrawn(workspace: Path, recipe: str, *, told: bool = False) -> Withdrawn:
    """The rows of a recipe that were withdrawn at this party.

    Args:
        workspace: the party's own folder.
        recipe: name of the recipe.
        told: whether the party counts them among what cleaning changed, which its receipts tell.

    Raises:
        DataRefused: `withdrawn-damaged`: list or key is damaged or gone.
    """
    path = withdrawn_file(workspace, recipe)
    if not path.exists():
        return NOTHING
    document = read_json(path) or {}
    key, hashes = _key(workspace), document.get("hashes")
    if not isinstance(hashes, list) or len(key) != _KEY_BYTES:
        raise _damaged(recipe)
    found = frozenset(map(str, hashes))
    if keyed_name(found, key) != document.get("name"):
        raise _damaged(recipe)
    return Withdrawn(key, found, told)


def withdraw(workspace: Path, recipe: str, texts: Iterable[str]) -> tuple[Withdrawn, int]:
    """Put rows on the list; return just these rows, and how many of them are new there.

    Harmless when they stand there: the file is then not written.

    Args:
        workspace: the party's own folder.
        recipe: name of the recipe.
        texts: as they come, cleaned or not.

    Raises:
        DataRefused: `withdrawn-damaged`.
    """
    standing = read_withdrawn(workspace, recipe)
    _make_private(workspace)
    if not (_folder(workspace) / "key").exists():
        write_private(_folder(workspace) / "key", secrets.token_bytes(_KEY_BYTES))
    key = _key(workspace)
    hashes = keyed_texts(texts, key)
    new = hashes - standing.hashes
    if new:
        together = standing.hashes | new
        document = {"hashes": sorted(together), "name": keyed_name(together, key)}
        write_json(withdrawn_file(workspace, recipe), document)
    return Withdrawn(key, hashes), len(new)


def leave(workspace: Path, recipe: str) -> None:
    """Let no later session of the party join a run of the recipe."""
    _make_private(workspace)
    write_private(_left(workspace, recipe), b"")


def has_left(workspace: Path, recipe: str) -> bool:
    """Whether the party has left the recipe."""
    return _left(workspace, recipe).exists()


def refuse_left(workspace: Path, recipe: str, party: str) -> None:
    """Keep a session of a party that has left out of a run.

    Raises:
        PolicyForbids: `party-left`.
    """
    if has_left(workspace, recipe):
        raise PolicyForbids(
            f"Party {party} has left the recipe {recipe}",
            fix=f"remove withdrawn/{recipe}.left in the party's own folder to come back",
            code="party-left",
        )


def refuse_withdrawn(workspace: Path, recipe: str, party: str, left_out: str) -> None:
    """Keep an update back that was trained while its party withdrew rows, or left.

    Args:
        workspace: the party's own folder.
        recipe: name of the recipe.
        party: its id.
        left_out: names the withdrawn rows without which the update was trained.

    Raises:
        DataRefused: `rows-withdrawn`; the next round goes without those rows.
        PolicyForbids: `party-left`.
    """
    refuse_left(workspace, recipe, party)
    if read_withdrawn(workspace, recipe).name != left_out:
        raise DataRefused(
            f"Rows of party {party} were withdrawn while it trained on them",
            fix="do nothing: the next round goes without them",
            code="rows-withdrawn",
        )


@contextmanager
def withdrawing_alone(workspace: Path, party: str) -> Iterator[None]:
    """Inside, nobody else withdraws rows of this party.

    Raises:
        StackError: `withdrawal-busy`: somebody has been at it for a minute.
    """
    _make_private(workspace)
    with locked_file(_folder(workspace) / "lock", LOCK_TIMEOUT_S) as held:
        if not held:
            raise StackError(
                f"Another process has been withdrawing rows of {party} for {LOCK_TIMEOUT_S:.0f} s",
                fix="wait for it, or stop it",
                code="withdrawal-busy",
            )
        yield


def _folder(workspace: Path) -> Path:
    return workspace / "withdrawn"


def _left(workspace: Path, recipe: str) -> Path:
    return _folder(workspace) / f"{recipe}.left"


def _make_private(workspace: Path) -> None:
    _folder(workspace).mkdir(parents=True, exist_ok=True)
    _folder(workspace).chmod(0o700)


def _key(workspace: Path) -> bytes:
    path = _folder(workspace) / "key"
    return path.read_bytes() if path.exists() else b""


def _damaged(recipe: str) -> DataRefused:
    return DataRefused(
        f"The list of withdrawn rows of {recipe}, or its key, is damaged or gone, and without it rows that "
        "were taken back would be trained on again",
        fix="restore the party's folder withdrawn from a backup, or move it aside and withdraw them all anew",
        code="withdrawn-damaged",
    )
