"""Cancelling a run: `closed.json` says so, and whoever waits or trains looks for it."""

from typing import TYPE_CHECKING, Any

from fedmodels.errors import FedcartError, RunConflict
from fedmodels.protocol.messages import Closed, Head, Plan
from fedmodels.protocol.progress import opening_head
from fedmodels.protocol.recording import closing
from fedmodels.words import counted
from infra.deployments.declaration import training_called
from infra.fault_points import fault_step
from infra.layout import closed_key, head_key
from infra.object_store import ObjectStore
from infra.settings import load_settings
from infra.stores import store_from_settings
from tasks.exchange import create_message, read_message
from tasks.reading import read_plan, read_records

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow

CODE = "cancelled"


@fault_step
def cancel_run(store: ObjectStore, run: str, reason: str) -> Closed:
    """Close the run as cancelled; HEAD stays where it is, and its best model is the kept one.

    Args:
        store: the bucket with the coordinator's credentials.
        run: id of the run.
        reason: a sentence for people.

    Raises:
        InputError: there is no such run.
        RunConflict: it is over already.
    """
    plan = read_plan(store, run)
    _refuse_over(read_message(store, closed_key(run), Closed))
    closed = _closed(store, plan, reason)
    standing = create_message(store, closed_key(run), closed)
    if standing != closed:
        _refuse_over(standing)
    return standing


def close_cancelled(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """`on_cancellation` hook of the coordinator's flow: what is cancelled in Prefect's UI is cancelled.

    Runs in a process of its own with the coordinator's settings, and may find the run closed, or never
    opened. It reports and does not raise: nobody would catch it.
    """
    from prefect.logging.loggers import flow_run_logger

    del flow, state
    log = flow_run_logger(flow_run)
    run = flow_run.parameters.get("run") or training_called(flow_run.name)
    if run is None:
        log.warning("The flow run %s had not named its run yet: none is closed", flow_run.id)
        return
    try:
        closed = cancel_run(store_from_settings(load_settings()), run, "it was cancelled in Prefect")
    except FedcartError as error:
        log.warning("The run %s is not cancelled: %s", run, error)
        return
    log.info("The run %s is cancelled at round %d", run, closed.rounds)


def _closed(store: ObjectStore, plan: Plan, reason: str) -> Closed:
    head = read_message(store, head_key(plan.run), Head)
    head = head or opening_head(plan.run, plan.base_model_sha256)
    records = read_records(store, head)
    seconds = round(sum(record.seconds.total for record in records), 3)
    return closing(head, records, "cancelled", CODE, reason, seconds)


def _refuse_over(closed: Closed | None) -> None:
    if closed is not None:
        raise RunConflict(
            f"The run {closed.run} is {closed.status} already, after {counted(closed.rounds, 'round')}",
            fix=f"see fedcart runs show {closed.run}",
            code="run-closed",
        )
