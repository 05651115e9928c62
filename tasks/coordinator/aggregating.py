"""Aggregation: accepted updates streamed from the store, chunk by chunk, in one fixed order."""

from contextlib import ExitStack
from pathlib import Path

from prefect import task
from tenacity import retry, retry_if_exception, stop_after_attempt

from fedmodels.aggregation.fedavg import NOT_FINITE, Source, WeightedDelta, fedavg
from fedmodels.errors import IntegrityError, RunError
from fedmodels.parameters.elements import DTYPES
from fedmodels.protocol.messages import Decision
from infra.layout import model_key, update_key
from tasks.coordinator.run import CoordinatorRun
from tasks.models import fetch_model
from tasks.policy import STORE
from tasks.tagging import tagged

FILE = "aggregate.safetensors"
TRIES = 3


def _may_be_damage(error: BaseException) -> bool:
    """Whether bytes that were damaged on their way can be the reason."""
    return isinstance(error, IntegrityError) or (isinstance(error, RunError) and error.code == NOT_FINITE)


@task(task_run_name="aggregate · round {decision.round}", **STORE)
@tagged
def aggregate(run: CoordinatorRun, decision: Decision) -> str:
    """Write the average of the accepted updates into the round's folder; return its SHA-256.

    Raises:
        IntegrityError: an update or the base model is not what the decision pins.
    """
    return write_average(run, decision, run.round_folder(decision.round) / FILE)


@retry(retry=retry_if_exception(_may_be_damage), stop=stop_after_attempt(TRIES), reraise=True)
def write_average(run: CoordinatorRun, decision: Decision, path: Path) -> str:
    """Write the average of what a decision counts to `path`; return its SHA-256.

    Memory does not grow with the number of parties. Each stream's hash, that of the base model's local
    copy too, is compared at its end with the one that the decision pins, so a byte that changed since
    admission is noticed. What was damaged on its way only comes whole the next time, so all of it is read
    `TRIES` times before that is believed.

    Raises:
        IntegrityError: an update or the base model is not what the decision pins.
        RunError: the average leaves the range of float32.
    """
    with ExitStack() as streams:
        model, _ = fetch_model(run.store, decision.base_sha256, run.models)
        reader = streams.enter_context(model.open("rb"))
        base = Source(model_key(decision.base_sha256), reader, decision.base_sha256)
        deltas = []
        for update in decision.accepted:
            key = update_key(update.party, update.update_sha256)
            source = Source(key, streams.enter_context(run.store.open(key)), update.update_sha256)
            deltas.append(WeightedDelta(source, update.weight))
        dtype = DTYPES[run.plan.recipe.update.dtype]
        return fedavg(run.plan.parameters, base, deltas, dtype, path)
