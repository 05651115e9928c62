"""What lies in the remotes of the models repository and no commit names: left by a recording that was killed,
or that lost a race. No Prefect.

What is recorded is sent first and committed then, so that what is younger than an hour stays. A repository of
this machine is locked meanwhile. One that a URL names another machine may be recording to: it sends nothing
that it finds there, and would miss what goes from under it; `fedcart release sync`, which housekeeping runs,
sends that again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fedmodels.errors import FedcartError, IntegrityError, RunConflict, write_coded
from fedmodels.protocol.sweeping import SHORTEST_BOUND
from infra.dvc_tracking import (
    MODELS,
    SETS,
    DvcRemotes,
    named_keys,
    remotes_from_settings,
    tracked_prefix,
)
from infra.leftovers import StoredObject, list_objects
from infra.models_repository import ModelsRepository, open_models_repository
from infra.object_store import ObjectStore
from infra.settings import Settings
from tasks.release.reading import read_history, released_recipes
from tasks.release.recorded_moves import recorded_moves


@dataclass(frozen=True)
class Unrecorded:
    """Objects that no commit names, in order of keys; `left` says why nothing is known of them."""

    objects: tuple[StoredObject, ...] = ()
    left: str = ""


def find_unrecorded(store: ObjectStore, settings: Settings) -> Unrecorded:
    """What may go of DVC's remotes; removes nothing.

    Args:
        store: the bucket with the coordinator's credentials.
        settings: the coordinator's, which say where the repository is.
    """
    return _look(store, settings, remove=False)


def remove_unrecorded(store: ObjectStore, settings: Settings) -> Unrecorded:
    """Remove what `find_unrecorded` finds; return what went."""
    return _look(store, settings, remove=True)


def _look(store: ObjectStore, settings: Settings, *, remove: bool) -> Unrecorded:
    old = [
        found
        for remote in (MODELS, SETS)
        for found in list_objects(store, tracked_prefix(remote))
        if found.age >= SHORTEST_BOUND
    ]
    if not old:
        return Unrecorded()
    try:
        with _opened(settings) as repository:
            needed = _needed(store, repository, remotes_from_settings(settings))
            objects = tuple(found for found in old if found.key not in needed)
            for found in objects if remove else ():
                store.delete(found.key)
            return Unrecorded(objects)
    except FedcartError as error:
        if isinstance(error, IntegrityError | RunConflict) or error.code.startswith("models-"):
            return Unrecorded(left=write_coded(error))
        raise


@contextmanager
def _opened(settings: Settings) -> Iterator[ModelsRepository]:
    own = settings.workspace / "models-repository"
    if settings.models_repository is None and not (own / ".git" / "HEAD").is_file():
        raise _behind("There is no models repository on this machine")
    with open_models_repository(settings.models_repository, own) as repository:
        yield repository


def _needed(store: ObjectStore, repository: ModelsRepository, remotes: DvcRemotes) -> frozenset[str]:
    """Keys of all that any commit names.

    Raises:
        RunConflict: `models-behind`: it lacks the last move of a champion, and so names too little.
        IntegrityError: `models-rewritten`; or `models-lost`: a list of files is damaged.
    """
    recipes = released_recipes(store)
    moves = recorded_moves(repository, store, remotes, recipes)
    for recipe in recipes:
        if len(read_history(store, recipe)) > max(moves[recipe], default=0):
            raise _behind(f"The models repository does not show the champion of {recipe} yet")
    found = [named_keys(store, pointer) for pointer in repository.pointers()]
    if None in found:
        raise IntegrityError(
            "A list of files is missing or damaged in DVC's remote, so that it is not known what it names",
            fix="run fedcart release sync",
            code="models-lost",
        )
    return frozenset(key for keys in found if keys for key in keys)


def _behind(sentence: str) -> RunConflict:
    return RunConflict(sentence, fix="run fedcart release sync first", code="models-behind")
