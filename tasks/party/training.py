"""Local training, and what protects its result before it leaves the party."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prefect import task

from fedmodels.errors import TrainingFailed
from fedmodels.protocol.messages import Announcement, Closed
from infra.deployments.declaration import gpu_limit
from infra.layout import closed_key
from infra.waiting import patient
from tasks.exchange import read_message
from tasks.models import fetch_model, forget_models
from tasks.party.boundary import sealed
from tasks.party.session import PartySession
from tasks.party.watchdog import ended_by_kernel
from tasks.policy import STORE
from tasks.tagging import tagged

CLOSED_CHECK_SECONDS = 2.0


@task(task_run_name="train_local · {session.party} · round {announcement.round}", **STORE)
@tagged
@sealed("train")
def train_local(session: PartySession, announcement: Announcement) -> dict[str, float]:
    """Train from the announced model on the party's rows; return what was measured.

    The trained weights lie in the round's folder as `trained.safetensors`.

    Raises:
        TrainingFailed: the loss is not finite, `train_timeout` is over, or the run was closed meanwhile.
    """
    with ended_by_kernel(session.joined_plan.recipe.train_timeout):
        return _train(session, announcement)


def _train(session: PartySession, announcement: Announcement) -> dict[str, float]:
    bench, prepared = session.workbench, session.prepared
    if bench is None or prepared is None:
        raise TrainingFailed(f"Party {session.party} has not loaded model and data", fix="join the run first")
    recipe = session.joined_plan.recipe
    base, travelled = fetch_model(session.store, announcement.model_sha256, session.models)
    session.bytes_down += travelled
    forget_models(session.models, keep=frozenset({announcement.model_sha256}))
    bench.load(base, announcement.model_sha256)
    with gpu_slot(session.party):
        result = bench.train(
            prepared.train,
            recipe.local,
            passed_rounds=announcement.passed_rounds,
            num_rounds=recipe.num_rounds,
            seed=(recipe.seed, session.party, announcement.round),
            should_stop=stop_asked(session, recipe.train_timeout),
        )
    session.compute.extend(result.compute)
    bench.write(session.round_folder(announcement.round) / "trained.safetensors")
    measured = {"steps": float(result.steps), "num_examples": float(result.num_examples)}
    return measured if result.loss is None else {**measured, "train_loss": result.loss}


@task(task_run_name="protect_update · {session.party} · round {announcement.round}", **STORE)
@tagged
@sealed("protect")
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
    return {"norm": facts.norm, "norm_before": facts.norm_before, "sha256": facts.sha256}


def gpu_slot(party: str) -> AbstractContextManager[None]:
    """The party's one place on its GPU, held around training alone; nothing where there is no GPU."""
    import torch
    from prefect.concurrency.sync import concurrency

    return concurrency(gpu_limit(party), strict=True) if torch.cuda.is_available() else nullcontext()


def stop_asked(session: PartySession, limit: float | None) -> Callable[[], bool]:
    """A cheap question for every training step: it looks at the store every few seconds only.

    Args:
        session: whose run may be closed.
        limit: seconds after which asking raises instead of answering; `None`: never.
    """
    begun = checked = time.monotonic()

    def stop() -> bool:
        nonlocal checked
        now = time.monotonic()
        if limit is not None and now - begun > limit:
            raise TrainingFailed(
                f"Party {session.party} trained for more than train_timeout, which is {limit:g} s",
                fix="raise train_timeout, or lower local.epochs",
                code="train-timeout",
            )
        if now - checked < CLOSED_CHECK_SECONDS:
            return False
        checked = now
        return patient(lambda: read_message(session.store, closed_key(session.run), Closed))() is not None

    return stop
