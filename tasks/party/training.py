"""Local training, and what protects its result before it leaves the party."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect import task
from prefect.logging import get_run_logger

from fedmodels.errors import TrainingFailed, training_cancelled
from fedmodels.protocol.messages import Announcement, Closed
from infra.deployments.declaration import gpu_limit
from infra.deployments.gpu_slot import gpu_slot
from infra.layout import closed_key
from infra.lookout import Lookout
from tasks.exchange import read_message
from tasks.models import fetch_model, forget_models
from tasks.party.boundary import sealed
from tasks.party.session import PartySession
from tasks.party.watchdog import ended_after, ended_by_kernel
from tasks.policy import STORE
from tasks.tagging import tagged

CLOSED_CHECK_SECONDS = 2.0
GPU_LOCK = "gpu.lock"
"""In the party's workspace: who holds it trains."""
FIRST_STEP = "The first optimiser step"
"""With this a party's log says that it trains."""


@task(task_run_name="train_local · {session.party} · round {announcement.round}", **STORE)
@tagged
@sealed("train")
def train_local(session: PartySession, announcement: Announcement) -> dict[str, float]:
    """Train from the announced model on the party's rows; return what was measured.

    The trained weights lie in the round's folder as `trained.safetensors`.

    Raises:
        TrainingFailed: the loss is not finite, `train_timeout` (`round_timeout` where there is none) is over,
            the GPU was not free in time (`gpu-busy`), or the run was closed meanwhile.
    """
    bench, prepared = session.workbench, session.prepared
    if bench is None or prepared is None:
        raise TrainingFailed(f"Party {session.party} has not loaded model and data", fix="join the run first")
    recipe = session.joined_plan.recipe
    with ended_by_kernel(recipe.round_timeout):
        base, travelled = fetch_model(session.store, announcement.model_sha256, session.models)
        session.bytes_down += travelled
        forget_models(session.models, keep=frozenset({announcement.model_sha256}))
        bench.load(base, announcement.model_sha256)
    closed = closed_asked(session)
    with place_on_gpu(session, closed), ended_by_kernel(recipe.training_limit):
        result = bench.train(
            prepared.train,
            recipe.local,
            passed_rounds=announcement.passed_rounds,
            num_rounds=recipe.num_rounds,
            seed=(recipe.seed, session.party, announcement.round),
            should_stop=stop_asked(session, closed),
            on_step=tell_first_step(announcement.round),
        )
    session.compute.extend(result.compute)
    with ended_by_kernel(recipe.round_timeout):
        bench.write(session.round_folder(announcement.round) / "trained.safetensors")
    measured = {"steps": float(result.steps), "num_examples": float(result.num_examples)}
    return measured if result.loss is None else {**measured, "train_loss": result.loss}


@task(task_run_name="protect_update · {session.party} · round {announcement.round}", **STORE)
@tagged
@sealed("protect")
@ended_after(lambda recipe: recipe.round_timeout)
def protect_update(session: PartySession, announcement: Announcement) -> dict[str, Any]:
    """Turn trained weights into a delta, clip it to its norm, and write it as it will travel."""
    from fedmodels.deltas import write_update

    folder = session.round_folder(announcement.round)
    base, _ = fetch_model(session.store, announcement.model_sha256, session.models)
    update = session.joined_plan.recipe.update
    facts = write_update(
        base,
        folder / "trained.safetensors",
        folder / "update.safetensors",
        clipping_norm=update.clipping_norm,
        dtype=update.dtype,
    )
    return {"norm": facts.norm, "sha256": facts.sha256}


@contextmanager
def place_on_gpu(session: PartySession, closed: Callable[[], bool]) -> Iterator[None]:
    """The party's one place on its GPU, waited for as long as a round takes; nothing where there is no GPU.

    Raises:
        TrainingFailed: the run was closed first (`training-cancelled`), or the time was over (`gpu-busy`).
    """
    import torch

    timeout = session.joined_plan.recipe.round_timeout
    with ended_by_kernel(timeout):
        has_gpu = torch.cuda.is_available()
    if not has_gpu:
        yield
        return
    limit, lock = gpu_limit(session.party), session.workspace / GPU_LOCK
    with gpu_slot(limit, lock, timeout=timeout, given_up=closed) as held:
        if not held and closed():
            raise training_cancelled()
        if not held:
            raise TrainingFailed(
                f"The GPU of party {session.party} was not free within round_timeout, which is {timeout:g} s",
                fix="see which training holds it (Prefect's page, Concurrency), or raise round_timeout",
                code="gpu-busy",
            )
        yield


def tell_first_step(round_number: int) -> Callable[[int, int, float], None]:
    """Says in the log when the first optimiser step of a round is done: from then on the party trains."""
    log = get_run_logger()

    def told(done: int, planned: int, _loss: float) -> None:
        if done == 1:
            log.info("%s of round %d is done, of %d", FIRST_STEP, round_number, planned)

    return told


def closed_asked(session: PartySession) -> Callable[[], bool]:
    """A cheap question: whether the run was closed, as far as is known; it waits for no store."""
    lookout = Lookout[Closed](CLOSED_CHECK_SECONDS)

    def look() -> Closed | None:
        return read_message(session.store_for_looks, closed_key(session.run), Closed)

    return lambda: lookout.ask(look) is not None


def stop_asked(session: PartySession, closed: Callable[[], bool]) -> Callable[[], bool]:
    """What each step asks: whether the run was closed. It raises when the training's time is over."""
    recipe, begun = session.joined_plan.recipe, time.monotonic()

    def stop() -> bool:
        if time.monotonic() - begun > recipe.training_limit:
            name = "round_timeout" if recipe.train_timeout is None else "train_timeout"
            raise TrainingFailed(
                f"Party {session.party} trained for more than {name}, which is {recipe.training_limit:g} s",
                fix=f"raise {name}, or lower local.epochs",
                code="train-timeout",
            )
        return closed()

    return stop
