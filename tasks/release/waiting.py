"""Which run waits for its release, and having it released."""

from prefect import task

from fedmodels.identifiers import check_identifier
from fedmodels.protocol.messages import Closed
from infra.deployments import starting
from infra.layout import closed_key
from infra.object_store import ObjectStore
from infra.settings import Settings
from infra.stores import store_from_settings
from tasks.exchange import read_message
from tasks.policy import STORE
from tasks.reading import list_runs, read_plan
from tasks.release_reading import read_request, release_numbers


@task(task_run_name="find_unreleased · {recipe}", **STORE)
def find_unreleased(settings: Settings, recipe: str) -> str | None:
    """The latest finished run of a recipe, unless somebody has proposed its model for release before.

    An older one is never proposed: its model was passed over when a newer one came.
    """
    store = store_from_settings(settings)
    finished = _latest_finished(store, check_identifier("recipe", recipe))
    if finished is None:
        return None
    run, model_sha256 = finished
    requests = (read_request(store, recipe, number) for number in release_numbers(store, recipe))
    proposed = any(request.run == run or request.model_sha256 == model_sha256 for request in requests)
    return None if proposed else run


@task(task_run_name="start_release · {run}", **STORE)
def start_release(run: str) -> str:
    """Ask Prefect for the flow that releases the run's model; return the flow run's id at once."""
    return starting.start_release(run, reason="a scheduled look for new models")


def _latest_finished(store: ObjectStore, recipe: str) -> tuple[str, str] | None:
    """The run that was closed as finished last, by the store's clock, and its kept model.

    Only a run of all of the recipe's parties: one of some of them was a comparison.
    """
    found: list[tuple[float, str, str]] = []
    for run in list_runs(store):
        closed = read_message(store, closed_key(run), Closed)
        if closed is None or closed.status != "finished":
            continue
        plan = read_plan(store, run)
        if plan.recipe.name != recipe or set(plan.parties) != set(plan.recipe.parties):
            continue
        found.append((store.age(closed_key(run)) or 0.0, run, closed.model_sha256))
    if not found:
        return None
    _, run, model_sha256 = min(found)
    return run, model_sha256
