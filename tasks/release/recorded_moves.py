"""What the branch of the models repository says, held against the champions of the bucket. No Prefect.

Each commit has to be the next move of one champion, and to change the files of that recipe alone, beside what
is common to all and follows from these. Whoever may write to the repository could else put another model in
the place of a released one.
"""

import functools
from collections.abc import Collection, Mapping, Sequence

from fedmodels.errors import IntegrityError
from fedmodels.protocol.releases import Champion
from infra.dvc_tracking import DvcRemotes
from infra.models_branch import Rewritten
from infra.models_repository import Change, ModelsRepository
from infra.object_store import ObjectStore
from tasks.exchange import parse
from tasks.release.common_files import COMMON, common_files, is_common
from tasks.release.reading import read_history
from tasks.release.recorded_files import Folders, folders_at, is_pointer

Moves = dict[int, str]
"""Number of each move of a champion that the repository holds, and its commit."""


def recorded_moves(
    repository: ModelsRepository, store: ObjectStore, remotes: DvcRemotes, recipes: Collection[str]
) -> dict[str, Moves]:
    """The moves of some recipes that the branch holds, by recipe, each held against the bucket.

    Of the others, what came since the branch was found good last is held against it, too, for nothing is
    recorded on top of a foreign commit. What is older holds up nobody, should such a recipe's champions be
    damaged or gone from the bucket meanwhile.

    Args:
        repository: open.
        store: the bucket with the coordinator's credentials.
        remotes: DVC's, as they are today.
        recipes: names of recipes.

    Raises:
        IntegrityError: `models-rewritten`: a commit is no move of a champion of the bucket, or changes more;
            or `champions-broken`: a champion that it takes to tell is damaged.
    """
    history_of = functools.cache(functools.partial(read_history, store))
    found: dict[str, Moves] = {recipe: {} for recipe in recipes}
    for change in repository.changes():
        pointers = [path for path in change.paths if is_pointer(path)]
        if change.merges or len(pointers) != 1:
            raise Rewritten(f"its commit {change.commit[:12]} is no move of a champion")
        folders = folders_at(pointers[0])
        _check_paths(change, folders)
        _check_common(repository, change, remotes)
        moves = found.setdefault(folders.recipe, {})
        if folders.recipe in recipes or not change.known:
            _take(repository, folders, change.commit, moves, history_of(folders.recipe))
        else:
            moves[_pointer_at(repository, folders, change.commit).sequence] = change.commit
    return {recipe: found[recipe] for recipe in recipes}


def commit_of(release: int, moves: Mapping[int, str], history: Sequence[Champion]) -> str | None:
    """The commit that brought a release: the first move that named it and is recorded."""
    numbers = [each.sequence for each in history if each.release == release and each.sequence in moves]
    return moves[numbers[0]] if numbers else None


def _take(
    repository: ModelsRepository, folders: Folders, commit: str, moves: Moves, history: Sequence[Champion]
) -> None:
    """Add a commit to the moves of its recipe, as the next one."""
    pointer = _pointer_at(repository, folders, commit)
    number = pointer.sequence
    if number > len(history):
        raise Rewritten(
            f"it holds move {number} of the champion of {folders.recipe}, and the bucket {len(history)}",
            first=f"restore the champion of {folders.recipe} in the bucket if it was lost there",
        )
    if number <= max(moves, default=0) or history[number - 1] != pointer:
        raise Rewritten(f"its move {number} of the champion of {folders.recipe} is not the bucket's")
    brought = commit_of(pointer.release, moves, history)
    if brought and _release_at(repository, folders, brought) != _release_at(repository, folders, commit):
        raise Rewritten(f"its commit {commit[:12]} changes release {pointer.release} of {folders.recipe}")
    moves[number] = commit


def _pointer_at(repository: ModelsRepository, folders: Folders, commit: str) -> Champion:
    data = repository.files(commit, folders.pointer).get(folders.pointer, b"")
    try:
        return parse(Champion, data, folders.pointer)
    except IntegrityError:
        raise Rewritten(f"its commit {commit[:12]} holds no champion of {folders.recipe}") from None


def _check_paths(change: Change, folders: Folders) -> None:
    for path in sorted(change.paths):
        if not folders.holds(path) and path not in COMMON:
            raise Rewritten(f"its commit {change.commit[:12]} changes {path} with a move of {folders.recipe}")


def _check_common(repository: ModelsRepository, change: Change, remotes: DvcRemotes) -> None:
    changed = change.paths & COMMON
    if not changed:
        return
    before = repository.paths(change.parent) if change.parent else frozenset()
    made = common_files(before | repository.paths(change.commit), remotes.config())
    for path in sorted(changed):
        if not is_common(path, repository.files(change.commit, path).get(path), made):
            raise Rewritten(f"its commit {change.commit[:12]} changes {path}, and not as fedcart would")


def _release_at(repository: ModelsRepository, folders: Folders, commit: str) -> dict[str, bytes]:
    """All files of the recipe but the pointer."""
    files = repository.files(commit).items()
    return {path: data for path, data in files if folders.holds(path) and path != folders.pointer}
