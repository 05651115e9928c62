"""What a party keeps of rows that their owners took back, in a folder that only it may open. No Prefect.

    withdrawn/key            32 random bytes, of the keyed hashes; they leave the party in no way
    withdrawn/lists          which recipes have a list: one that is gone is missed by it
    withdrawn/RECIPE.json    keyed hashes of the texts, by withdrawal; the names of the withdrawals that these
                             answer; and a name of it all under that key

No text stands there. A list that is damaged or gone keeps the party from training: else rows that were taken
back would be learned from again, and nobody would notice. Where the whole folder is gone, or an older one was
brought back, what the party has put into the bucket tells of it (`told_withdrawals.py`).
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedmodels.data.withdrawn import NOTHING, Withdrawn, keyed_name, keyed_texts
from fedmodels.errors import DataRefused, StackError, TransientError
from fedmodels.words import counted
from infra.file_lock import locked_file
from infra.private_files import read_json, write_json, write_private

LOCK_TIMEOUT_S = 60.0
_KEY_BYTES = 32
_LISTS = "lists"


@dataclass(frozen=True)
class _List:
    """The list of a recipe."""

    batches: tuple[frozenset[str], ...] = ()
    """By withdrawal, oldest first."""
    answers: frozenset[str] | None = frozenset()
    """Names of the withdrawals that it answers; `None` in a list from before these were kept."""


def withdrawn_folder(workspace: Path) -> Path:
    """Where lists, key and notes of leaving lie."""
    return workspace / "withdrawn"


def make_withdrawn_folder(workspace: Path) -> None:
    """Make that folder, for its owner alone."""
    withdrawn_folder(workspace).mkdir(parents=True, exist_ok=True)
    withdrawn_folder(workspace).chmod(0o700)


def withdrawn_file(workspace: Path, recipe: str) -> Path:
    """Where the keyed hashes of a recipe's withdrawn rows lie."""
    return withdrawn_folder(workspace) / f"{recipe}.json"


def read_withdrawn(workspace: Path, recipe: str, *, told: bool = False) -> Withdrawn:
    """The rows of a recipe that were withdrawn at this party.

    Args:
        workspace: the party's own folder.
        recipe: name of the recipe.
        told: whether the party counts them among what cleaning changed, which its receipts tell.

    Raises:
        DataRefused: `withdrawn-damaged`: list or key is damaged or gone.
    """
    batches = _read(workspace, recipe).batches
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
    for batch in _read(workspace, recipe).batches:
        so_far |= batch
        yield Withdrawn(_key(workspace), so_far)


def looked_for(workspace: Path, texts: Iterable[str]) -> Withdrawn:
    """Rows to look for without putting them on a list; under a key that nobody keeps where there is none."""
    key = _key(workspace) or secrets.token_bytes(_KEY_BYTES)
    return Withdrawn(key, keyed_texts(texts, key))


def answered(workspace: Path, recipe: str) -> frozenset[str] | None:
    """Names of the withdrawals that the list answers: none where there is no list.

    `None` of a list from before the names were kept: nobody can tell what it lacks, and the next withdrawal
    takes it that it lacks nothing.

    Raises:
        DataRefused: `withdrawn-damaged`.
    """
    return _read(workspace, recipe).answers


def is_damaged(workspace: Path, recipe: str) -> bool:
    """Whether list or key of the recipe is damaged or gone, as far as the party's folder tells."""
    try:
        _read(workspace, recipe)
    except DataRefused:
        return True
    return False


def withdraw(
    workspace: Path,
    recipe: str,
    texts: Iterable[str],
    *,
    told: frozenset[str] = frozenset(),
    new_list: bool = False,
) -> tuple[Withdrawn, int]:
    """Put rows on the list; return just these rows, and how many of them are new there.

    Harmless when they stand there: the list is then not written.

    Args:
        workspace: the party's own folder.
        recipe: name of the recipe.
        texts: as they come, cleaned or not.
        told: names of withdrawals that the list answers from now on, whether or not it did before.
        new_list: whether a list that is damaged or gone is given up for one that begins with these rows.

    Raises:
        DataRefused: `withdrawn-damaged`.
    """
    given_up = new_list and is_damaged(workspace, recipe)
    listed_so_far = _List() if given_up else _read(workspace, recipe)
    batches = listed_so_far.batches
    make_withdrawn_folder(workspace)
    if len(_key(workspace)) != _KEY_BYTES:
        listed = _listed(workspace) or _on_disk(workspace)
        if listed and not new_list:  # another key would be the end of those lists
            raise list_lost(recipe)
        _note_lists(workspace, listed)  # first: a key without this note is a list lost
        write_private(withdrawn_folder(workspace) / "key", secrets.token_bytes(_KEY_BYTES))
    key = _key(workspace)
    hashes = keyed_texts(texts, key)
    new = hashes - frozenset().union(*batches)
    answers = (listed_so_far.answers or frozenset()) | told | ({keyed_name(hashes, key)} if hashes else set())
    if new or (batches and answers != listed_so_far.answers):
        batches = (*batches, new) if new else batches
        document = {
            "withdrawals": list(map(sorted, batches)),
            "answers": sorted(answers),
            "name": _name(batches, answers, key),
        }
        write_json(withdrawn_file(workspace, recipe), document)
    if batches and recipe not in (_listed(workspace) or ()):  # last: a list that is noted has to be there
        _note_lists(workspace, {recipe, *(_listed(workspace) or _on_disk(workspace))})
    return Withdrawn(key, hashes), len(new)


def refuse_withdrawn(workspace: Path, recipe: str, party: str, left_out: str) -> None:
    """Keep an update back that was trained while its party withdrew rows.

    Args:
        workspace: the party's own folder.
        recipe: name of the recipe.
        party: its id.
        left_out: names the withdrawn rows without which the update was trained.

    Raises:
        DataRefused: `rows-withdrawn`; the next round goes without those rows.
    """
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
    make_withdrawn_folder(workspace)
    with locked_file(withdrawn_folder(workspace) / "lock", LOCK_TIMEOUT_S) as held:
        if not held:
            raise StackError(
                f"Another process has been withdrawing rows of {party} for {LOCK_TIMEOUT_S:.0f} s",
                fix="wait for it, or stop it",
                code="withdrawal-busy",
            )
        yield


@contextmanager
def held_list(workspace: Path, recipe: str, party: str) -> Iterator[None]:
    """Inside, the list of a recipe stays as it is, and so does whether the party has left.

    Whoever puts rows there writes it inside; whoever sends an update looks at it and commits inside. So the
    receipt stands when the writer looks for receipts, or the sender sees the rows.

    Raises:
        TransientError: `withdrawal-busy`: somebody has held it for a minute.
    """
    make_withdrawn_folder(workspace)
    with locked_file(withdrawn_folder(workspace) / f"{recipe}.lock", LOCK_TIMEOUT_S) as held:
        if not held:
            raise TransientError(
                f"Another process has held the list of withdrawn rows of {recipe} at {party} for "
                f"{LOCK_TIMEOUT_S:.0f} s",
                fix="wait for what withdraws rows, or for the session that sends an update",
                code="withdrawal-busy",
            )
        yield


def _read(workspace: Path, recipe: str) -> _List:
    """The list; an empty one where there never was any."""
    path = withdrawn_file(workspace, recipe)
    if not path.exists():
        listed = _listed(workspace)
        if recipe in (listed or ()) or (listed is None and (withdrawn_folder(workspace) / "key").exists()):
            raise list_lost(recipe)
        return _List()
    document, key = read_json(path) or {}, _key(workspace)
    told = document.get("withdrawals")
    if not isinstance(told, list) or len(key) != _KEY_BYTES or not all(isinstance(one, list) for one in told):
        raise list_lost(recipe)
    batches, named = tuple(frozenset(map(str, one)) for one in told), document.get("answers")
    answers = frozenset(map(str, named)) if isinstance(named, list) else None
    if _name(batches, answers, key) != document.get("name"):
        raise list_lost(recipe)
    return _List(batches, answers)


def _name(batches: Sequence[frozenset[str]], answers: frozenset[str] | None, key: bytes) -> str:
    """Of the whole list: whoever changes it, or leaves out a withdrawal, cannot name what is left."""
    parts = [",".join(sorted(batch)) for batch in batches]
    return keyed_name(parts if answers is None else [*parts, f"answers {','.join(sorted(answers))}"], key)


def _key(workspace: Path) -> bytes:
    path = withdrawn_folder(workspace) / "key"
    return path.read_bytes() if path.exists() else b""


def _listed(workspace: Path) -> frozenset[str] | None:
    """Recipes that have a list, as was noted; `None` where no such note can be read."""
    document = read_json(withdrawn_folder(workspace) / _LISTS)
    recipes = (document or {}).get("recipes")
    return frozenset(map(str, recipes)) if isinstance(recipes, list) else None


def _on_disk(workspace: Path) -> frozenset[str]:
    return frozenset(path.stem for path in withdrawn_folder(workspace).glob("*.json"))


def _note_lists(workspace: Path, recipes: Iterable[str]) -> None:
    write_json(withdrawn_folder(workspace) / _LISTS, {"recipes": sorted(recipes)})


def list_lost(recipe: str) -> DataRefused:
    """Says that a list, or its key, is damaged or gone, and what can be done about it."""
    return DataRefused(
        f"The list of withdrawn rows of {recipe}, or its key, is damaged or gone, and without it rows that "
        "were taken back would be trained on again",
        fix="restore the party's folder withdrawn from a backup, or give all of them to fedcart forget anew, "
        "with --new-list",
        code="withdrawn-damaged",
    )


def list_older(recipe: str, missing: int) -> DataRefused:
    """Says that a list is one from before some withdrawals, and what can be done about it."""
    return DataRefused(
        f"The list of withdrawn rows of {recipe} lacks {counted(missing, 'withdrawal')} that this party has "
        "made, and with it rows that were taken back would be trained on again",
        fix="restore the party's folder withdrawn from a newer backup, or give all rows that were ever "
        "withdrawn to fedcart forget anew, with --new-list",
        code="withdrawn-damaged",
    )
