"""Aggregation: accepted updates streamed from the store, chunk by chunk, in one fixed order."""

from contextlib import ExitStack
from pathlib import Path

from prefect import task

from fedmodels.aggregation.fedavg import Source, WeightedDelta, fedavg
from fedmodels.parameters.elements import DTYPES
from fedmodels.protocol.messages import Decision
from infra.layout import model_key, update_key
from tasks.coordinator.run import CoordinatorRun
from tasks.models import fetch_model
from tasks.policy import STORE
from tasks.tagging import tagged

FILE = "aggregate.safetensors"


@task(task_run_name="aggregate · round {decision.round}", **STORE)
@tagged
def aggregate(run: CoordinatorRun, decision: Decision) -> str:
    """Write the average of the accepted updates into the round's folder; return its SHA-256.

    Raises:
        IntegrityError: an update or the base model is not what the decision pins.
    """
    return write_average(run, decision, run.round_folder(decision.round) / FILE)


def write_average(run: CoordinatorRun, decision: Decision, path: Path) -> str:
    """Write the average of what a decision counts to `path`; return its SHA-256.

    Memory does not grow with the number of parties. Each stream's hash, that of the base model's local
    copy too, is compared at its end with the one that the decision pins, so a byte that changed since
    admission is noticed.

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
        return fedavg(run.plan.parameters, base, deltas, dtype, path).sha256
