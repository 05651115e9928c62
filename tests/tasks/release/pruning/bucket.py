"""Runs that may be pruned, and what stands of them in the bucket."""

import itertools

from fedmodels.protocol.messages import Closed
from fedmodels.protocol.pruning import parse_keep
from fedmodels.protocol.sweeping import Sweep
from infra.layout import (
    closed_key,
    model_key,
    prunes_prefix,
)
from tasks.exchange import create_message
from tasks.release.requesting import open_release
from tests.tasks.verifying.finished_run import FinishedRun

DAY = 86_400.0
SEEDS = itertools.count(5000, 31)
NONE = parse_keep("0")
"""Nothing is kept of runs without a release."""


def another(home, run, name, seed=None, recipe=None) -> FinishedRun:
    """One more run, which is open."""
    changes = {"name": recipe or run.plan.recipe.name, "num_rounds": 1}
    return FinishedRun(home, name, next(SEEDS) if seed is None else seed, changes)


def close(run, status="finished") -> None:
    create_message(
        run.store,
        closed_key(run.run),
        Closed(
            run=run.run,
            status=status,
            model_sha256=run.head.best_model_sha256,
            rounds=run.head.round,
            final=run.records[-1].holdout if run.records else None,
            seconds=1.0,
        ),
    )


def blobs(store) -> set[str]:
    return set(store.list_keys("coordinator/blobs/"))


def models_of(run) -> set[str]:
    named = {run.plan.base_model_sha256, *(record.candidate_sha256 for record in run.records)}
    return {model_key(each) for each in named if each}


def noted(store) -> set[str]:
    notes = [Sweep.model_validate_json(store.read(key)) for key in store.list_keys(prunes_prefix())]
    return {item.key for note in notes for item in note.objects}


def requested(run):
    return open_release(
        run.store,
        run.plan.recipe.name,
        run.run,
        run=run.run,
        round_number=1,
        model_sha256=run.head.best_model_sha256,
    )


def gone(found) -> set[str]:
    return {item.key for item in found.objects}
