"""Which run waits for its release, and having it released."""

from datetime import datetime

from prefect import task
from pydantic import ValidationError

from fedmodels.identifiers import check_identifier
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.releases import ReleaseRequest, Unreleasable
from infra.deployments import starting
from infra.deployments.looking import is_going
from infra.layout import closed_key
from infra.object_store import ObjectStore
from infra.settings import Settings
from infra.stores import store_from_settings
from tasks.policy import STORE
from tasks.reading import PlannedRun, look_at_runs, read_plan
from tasks.release.lineage import retraining_of
from tasks.release.reading import find_refusal, find_report, read_release, read_request, release_numbers
from tasks.release.taking import tickets


@task(task_run_name="find_unreleased · {recipe}", **STORE)
def find_unreleased(settings: Settings, recipe: str) -> str | Unreleasable | None:
    """The latest finished run of a recipe, unless somebody has proposed its model for release before.

    A release without a report, or without a person's word, whose flow run is over was proposed in vain:
    whoever went on with it died, and the next flow run takes it up. While the server cannot say, the flow run
    is taken to go on. A model that can never get a report is not proposed again: what was noted comes back.

    An older one is never proposed: its model was passed over when a newer one came.

    Raises:
        IntegrityError: this version of fedcart cannot read its plan; no release is begun that could not end.
    """
    store = store_from_settings(settings)
    finished = _latest_finished(store, check_identifier("recipe", recipe))
    if finished is None:
        return None
    run, model_sha256 = finished
    requests = (read_request(store, recipe, number) for number in release_numbers(store, recipe))
    proposed = [each for each in requests if each.run == run or each.model_sha256 == model_sha256]
    busy = [each for each in proposed if not _left_alone(store, each)]
    if any(find_report(store, recipe, each.release) for each in busy):
        return None  # whatever was noted before, it has been checked since
    if (refusal := find_refusal(store, recipe, run)) is not None:
        return refusal
    if busy:
        return None
    read_plan(store, run)
    return run


@task(task_run_name="start_release · {run}", **STORE)
def start_release(run: str) -> str:
    """Ask Prefect for the flow that releases the run's model; return the flow run's id at once."""
    return starting.start_release(run, reason="a scheduled look for new models")


def _left_alone(store: ObjectStore, request: ReleaseRequest) -> bool:
    """Whether a release is neither over nor waits for anything but a flow run, which is dead.

    One that has its report and learned from what was withdrawn waits for nothing: no flow run can promote it.
    """
    view = read_release(store, request.recipe, request.release)
    unfinished = view.standing in ("no report yet", "awaiting approval", "ready")
    if unfinished and view.found is not None and view.marks:
        return False
    return unfinished and not is_going(tickets(store, request)[-1])


def _latest_finished(store: ObjectStore, recipe: str) -> tuple[str, str] | None:
    """The run that was closed as finished last, by the store's clock, and its kept model.

    Only a run of all of the recipe's parties, or one that a retraining began, which goes without those that
    left: any other one of some of them was a comparison. A run that repeats an earlier one answers a question
    about that, and asks for no release. Other recipes' runs, and what is damaged, are passed over; of the one
    that is chosen, the release reads every message strictly.
    """

    def look(run: str, planned: PlannedRun) -> tuple[datetime, str, str] | None:
        if planned.repeats or not (planned.complete or retraining_of(store, recipe, run)):
            return None
        key = closed_key(run)
        data, at = store.read(key), store.put_at(key)
        try:
            closed = Closed.model_validate_json(data or b"")
        except ValidationError:
            return None
        return (at, run, closed.model_sha256) if at and closed.status == "finished" else None

    finished = look_at_runs(store, recipe, look)
    return max(finished)[1:] if finished else None
