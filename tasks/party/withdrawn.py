"""What a party keeps of rows that their owners took back, in a folder that only it may open. No Prefect.

    withdrawn/key            32 random bytes, of the keyed hashes; they leave the party in no way
    withdrawn/RECIPE.json    keyed hashes of the texts, by withdrawal, and a name of them all under that key
    withdrawn/RECIPE.left    the party has left the recipe: its sessions join no run of it

No text stands there. A list that cannot be read keeps the party from training: else rows that were taken back
would be learned from again, and nobody would notice.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
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
    batches = _batches(workspace, recipe)
    if not batches:
        return NOTHING
    return Withdrawn(_key(workspace), frozenset().union(*batches), told)


def lists_so_far(workspace: Path, recipe: str) -> Iterator[Withdrawn]:
    """What the list of a recipe has been: nothing, then after each withdrawal, up to now.

    Raises:
        DataRefused: `withdrawn-damaged`.
    """
    so_far: frozenset[str] = frozenset()
    yield NOTHING
    for batch in _batches(workspace, recipe):
        so_far |= batch
        yield Withdrawn(_key(workspace), so_far)


def looked_for(workspace: Path, texts: Iterable[str]) -> Withdrawn:
    """Rows to look for without putting them on a list; under a key that nobody keeps where there is none."""
    key = _key(workspace) or secrets.token_bytes(_KEY_BYTES)
    return Withdrawn(key, keyed_texts(texts, key))


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
    batches = _batches(workspace, recipe)
    _make_private(workspace)
    if not (_folder(workspace) / "key").exists():
        write_private(_folder(workspace) / "key", secrets.token_bytes(_KEY_BYTES))
    key = _key(workspace)
    hashes = keyed_texts(texts, key)
    new = hashes - frozenset().union(*batches)
    if new:
        batches = [*batches, new]
        document = {"withdrawals": list(map(sorted, batches)), "name": _name(batches, key)}
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


def _batches(workspace: Path, recipe: str) -> list[frozenset[str]]:
    """The list by withdrawal, oldest first; none where there is no list."""
    path = withdrawn_file(workspace, recipe)
    if not path.exists():
        return []
    document, key = read_json(path) or {}, _key(workspace)
    told = document.get("withdrawals")
    if not isinstance(told, list) or len(key) != _KEY_BYTES or not all(isinstance(one, list) for one in told):
        raise _damaged(recipe)
    batches = [frozenset(map(str, one)) for one in told]
    if _name(batches, key) != document.get("name"):
        raise _damaged(recipe)
    return batches


def _name(batches: Sequence[frozenset[str]], key: bytes) -> str:
    """Of the whole list: whoever changes it, or leaves out a withdrawal, cannot name what is left."""
    return keyed_name([",".join(sorted(batch)) for batch in batches], key)


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
