"""Beginning a run from the model of an earlier one, which never saw what was withdrawn since."""

from typing import Any

from prefect.logging import get_run_logger
from pydantic import ValidationError

from fedmodels.errors import InputError, IntegrityError
from fedmodels.protocol.messages import Plan, StartingModel
from infra.layout import plan_key
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import read_message
from tasks.models import fetch_model, hindered_start


def starting_model(given: dict[str, Any] | None) -> StartingModel | None:
    """What a flow run was given to begin from.

    Raises:
        InputError: it does not name run, round and hash.
    """
    if given is None:
        return None
    try:
        return StartingModel.model_validate(given)
    except ValidationError:
        raise InputError(
            "What the training is to begin from does not name a run, a round and the hash of its model",
            fix="give none to begin from the recipe's base model",
        ) from None


def start_of(run: CoordinatorRun, repeats: str | None) -> StartingModel | None:
    """Where the run began that this one repeats, if it repeats one."""
    repeated = read_message(run.store, plan_key(repeats), Plan) if repeats else None
    return repeated.begins_from if repeated else None


def begun_from(run: CoordinatorRun, plan: Plan, start: StartingModel | None) -> Plan:
    """The plan of a run that begins from an earlier run's model, whose weights are then in this process.

    Where that model cannot be had, or is another than this recipe builds, the run begins from the recipe's
    base model, which saw nobody's rows, and the log says why: whoever withdrew something waits for it.
    """
    if start is None:
        return plan
    try:
        why = hindered_start(run.store, plan, start)
        if not why:
            fetch_model(run.store, start.model_sha256, run.models)
    except IntegrityError as error:
        why = error.sentence
    if why:
        get_run_logger().warning(
            "The run begins from the recipe's base model, not from that of %s after round %d: %s",
            start.run,
            start.round,
            why,
        )
        return plan
    return plan.model_copy(update={"base_model_sha256": start.model_sha256, "begins_from": start})
