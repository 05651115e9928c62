"""Starting the training that a schedule asks for, when its recipe has no other one."""

from typing import Any

from prefect import task

from fedmodels.protocol.retraining import check_alone
from infra.deployments.observing import unfinished_trainings
from infra.deployments.starting import find_training, start_training
from tasks.coordinator.run import CoordinatorRun
from tasks.policy import STORE
from tasks.retraining.standing import open_runs, read_retrainings
from tasks.tagging import tagged


@task(task_run_name="look_for_trainings · {recipe}", **STORE)
@tagged
def check_no_training(run: CoordinatorRun, recipe: str) -> None:
    """Look for an open run of the recipe, one that waits at Prefect, and a retraining that is about to begin.

    Of two that look in the same second, both may go on: that costs a training, and the release gate sees two
    models.

    Raises:
        RunConflict: `training-open`, or `training-stopped`: the server knows of nobody who conducts it.
        PrefectAway: the server does not say what waits there.
    """
    unfinished = unfinished_trainings(recipe)
    retrainings = read_retrainings(run.store, recipe, unfinished)
    others = open_runs(run.store, recipe, retrainings, unfinished)
    living = unfinished | {each.run for each in retrainings.starting}
    check_alone(recipe, [each for each in others if each.run != run.run], living)


@task(task_run_name="start_training · {run.run}", **STORE)
@tagged
def start_scheduled(run: CoordinatorRun, recipe: dict[str, Any] | str, parties: tuple[str, ...]) -> str:
    """Start the run, or find that it was started; return its flow run's id.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know the deployment.
    """
    return find_training(run.run) or start_training(recipe, run.run, parties=parties, tags=["scheduled"])
