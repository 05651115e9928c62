"""The coordinator's own data sets and the model on which it scores them."""

from typing import TYPE_CHECKING

from prefect import task

from fedmodels.errors import InputError, RunConflict, TrainingFailed
from fedmodels.protocol.messages import Metrics, Plan
from fedmodels.recipe import SETS, Recipe
from infra.settings import coordinator_table
from tasks.coordinator.run import CoordinatorRun
from tasks.policy import STORE
from tasks.tagging import tagged
from tasks.workbenches import open_workbench

if TYPE_CHECKING:
    from fedmodels.data.prepared import LabelledTexts
    from fedmodels.workbench import Workbench


def own_set(run: CoordinatorRun, recipe: Recipe, name: str) -> "LabelledTexts":
    """One of the coordinator's sets, read once.

    Raises:
        InputError: the coordinator's settings name no such table.
    """
    from fedmodels.data.prepared import read_prepared

    if name not in run.sets:
        path = coordinator_table(run.tables, recipe.name, name)
        run.sets[name] = read_prepared(path, f"coordinator's {name}")
    return run.sets[name]


def own_sets(run: CoordinatorRun, recipe: Recipe) -> dict[str, "LabelledTexts"]:
    """All three, by name.

    Raises:
        InputError: as `own_set`.
    """
    return {name: own_set(run, recipe, name) for name in SETS}


def refuse_changed_sets(run: CoordinatorRun, plan: Plan) -> None:
    """See that the sets are those by which the run was judged so far; a plan of long ago pins none.

    Raises:
        RunConflict: they are others (`sets-changed`), so that scores of earlier rounds say nothing beside new
            ones.
        InputError: as `own_set`.
    """
    from fedmodels.data.pinned import changed_sets

    if plan.sets is None:
        return
    if changed := changed_sets(plan.sets, own_sets(run, plan.recipe)):
        raise RunConflict(
            f"The coordinator's rows for {' and '.join(changed)} are not those with which {plan.run} began",
            fix="put its old table back and run fedcart data prepare, or start a new run",
            code="sets-changed",
        )


def finite_scores(run: CoordinatorRun, bench: "Workbench", name: str) -> Metrics | None:
    """The loaded model's scores on one of the coordinator's sets; `None` when a logit is not finite.

    One poisoned update can do that. It is the gate that then has to speak: an error here would end the
    coordinator, and every one that resumes the run would meet the same model.
    """
    try:
        metrics, intervals = bench.evaluate(own_set(run, run.plan.recipe, name))
    except TrainingFailed as error:
        if error.code != "evaluation-not-finite":
            raise
        return None
    run.watch.computed(intervals)
    return metrics


@task(task_run_name="load_model · coordinator", **STORE)
@tagged
def load_workbench(run: CoordinatorRun) -> str:
    """Build the model that stays in memory for all rounds, and encode the coordinator's sets.

    Raises:
        InputError: as `own_set`; or a set has a label that the plan does not know (`labels-unknown`).
    """
    from fedmodels.data.rows import class_indices

    plan = run.plan
    scored_anew = plan.repeats is not None  # what a repetition is compared by is no copy
    run.workbench = open_workbench(run.store, plan, run.cache, run.threads, keeps_scores=not scored_anew)
    for name, rows in own_sets(run, plan.recipe).items():
        class_indices(rows, run.workbench.index, f"coordinator's {name} set", InputError)
        run.workbench.encode(rows)
    return plan.architecture_sha256


def loaded_workbench(run: CoordinatorRun) -> "Workbench":
    """The model in memory.

    Raises:
        InputError: `load_workbench` has not run.
    """
    if run.workbench is None:
        raise InputError("The coordinator has not loaded its model", fix="call load_workbench first")
    return run.workbench
