"""What whoever needs the kept model of a run is told when it was pruned. No Prefect, no model."""

from fedmodels.errors import RunConflict
from fedmodels.protocol.sweeping import NOTE_LIMIT, SHORTEST_BOUND, Sweep
from infra.layout import model_key, prunes_prefix
from infra.leftovers import list_objects
from infra.object_store import ObjectStore
from tasks.exchange import read_from_party
from tasks.removal_notes import read_pruned

PRUNED = "pruned"


def is_pruned(store: ObjectStore, model_sha256: str) -> bool:
    """Whether a model is gone, and the coordinator notes that it pruned it."""
    key = model_key(model_sha256)
    return not store.exists(key) and key in read_pruned(store)


def refuse_pruned(store: ObjectStore, run: str, model_sha256: str) -> None:
    """See that the kept model of a run was not pruned.

    Raises:
        RunConflict: `pruned`.
    """
    if is_pruned(store, model_sha256):
        raise RunConflict(
            f"The model {model_sha256[:12]} of run {run} was removed by fedcart release prune",
            fix=f"train it again with fedcart reproduce {run}",
            code=PRUNED,
        )


def refuse_while_pruned(store: ObjectStore, run: str, model_sha256: str) -> None:
    """See that nobody removes a model for which a release has just been requested.

    A prune looks for requests once its note stands, and this looks for notes once the request does: so one of
    the two sees the other. A note that is an hour old is that of a prune which is over, or died.

    Raises:
        RunConflict: `pruned`; or `prune-going`: it may be about to go.
    """
    key = model_key(model_sha256)
    for found in list(list_objects(store, prunes_prefix())):
        note = read_from_party(store, found.key, Sweep, NOTE_LIMIT) if found.age < SHORTEST_BOUND else None
        if note is not None and any(item.key == key for item in note.objects):
            refuse_pruned(store, run, model_sha256)
            raise RunConflict(
                f"fedcart release prune is removing models, or was stopped within the last hour, and "
                f"the model {model_sha256[:12]} of run {run} is one of them",
                fix=f"run fedcart release propose {run} in an hour, when it is spared or gone",
                code="prune-going",
            )
    refuse_pruned(store, run, model_sha256)
