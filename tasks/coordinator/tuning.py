"""Global fine-tuning on the public set, kept only if the validation set says that it helps."""

from pathlib import Path

from prefect import task
from pydantic import BaseModel, ConfigDict

from fedmodels.protocol.messages import Candidate, FineTuningResult, Metrics
from fedmodels.protocol.progress import improves
from fedmodels.recipe import FineTuning, LocalTraining, Recipe
from infra.layout import round_key
from tasks.coordinator.aggregating import FILE as AGGREGATE
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sets import loaded_workbench, own_set
from tasks.exchange import create_message, publish_model, read_message
from tasks.policy import LOCAL, STORE
from tasks.tagging import tagged

FILE = "fine-tuned.safetensors"


class Tuned(BaseModel):
    """The model that goes on: its file's name in the round's folder, its validation scores, and why."""

    model_config = ConfigDict(frozen=True)

    file: str
    metrics: Metrics
    fine_tuning: FineTuningResult | None


@task(task_run_name="fine_tune · round {round_number}", **LOCAL)
@tagged
def fine_tune(run: CoordinatorRun, round_number: int, aggregate_sha256: str) -> Tuned:
    """Score the aggregate on validation, train it on public, score again, keep the better one."""
    recipe, bench = run.plan.recipe, loaded_workbench(run)
    folder = run.round_folder(round_number)
    validation = own_set(run, recipe, "validation")
    bench.load(folder / AGGREGATE, aggregate_sha256)
    before, intervals = bench.evaluate(validation)
    run.watch.computed(intervals)
    if recipe.fine_tuning is None:
        return Tuned(file=AGGREGATE, metrics=before, fine_tuning=None)
    result = bench.train(
        own_set(run, recipe, "public"),
        as_local_training(recipe.fine_tuning),
        passed_rounds=0,
        num_rounds=1,
        seed=(recipe.seed, "coordinator", round_number),
        should_stop=lambda: False,
    )
    after, intervals = bench.evaluate(validation)
    run.watch.computed([*result.compute, *intervals])
    kept = improves(recipe.key_metric, after, before)
    if kept:
        bench.write(folder / FILE)
    verdict = FineTuningResult(kept=kept, before=before, after=after)
    return Tuned(file=FILE if kept else AGGREGATE, metrics=after if kept else before, fine_tuning=verdict)


def as_local_training(config: FineTuning) -> LocalTraining:
    """Fine-tuning is local training at the coordinator, with its own few knobs."""
    return LocalTraining(
        epochs=config.epochs, batch_size=config.batch_size, learning_rate=config.learning_rate
    )


@task(task_run_name="propose · round {round_number}", **STORE)
@tagged
def propose(run: CoordinatorRun, round_number: int, tuned: Tuned) -> Candidate:
    """Publish the candidate's weights, then announce it."""
    recipe: Recipe = run.plan.recipe
    path: Path = run.round_folder(round_number) / tuned.file
    candidate = Candidate(
        run=run.run,
        round=round_number,
        model_sha256=publish_model(run.store, path),
        evaluate=recipe.evaluate_at_parties,
        evaluation_timeout=recipe.evaluation_timeout,
        metrics=tuned.metrics,
        fine_tuning=tuned.fine_tuning,
    )
    return create_message(run.store, round_key(run.run, round_number, "candidate"), candidate)


def standing_candidate(run: CoordinatorRun, round_number: int) -> Candidate | None:
    """The candidate that an earlier coordinator announced for this round, if any."""
    return read_message(run.store, round_key(run.run, round_number, "candidate"), Candidate)
