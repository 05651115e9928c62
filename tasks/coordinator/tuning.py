"""Global fine-tuning on the public set, kept only if the validation set says that it helps."""

from typing import TYPE_CHECKING

from prefect import task
from prefect.logging import get_run_logger
from pydantic import BaseModel, ConfigDict

from fedmodels.errors import TrainingFailed
from fedmodels.protocol.messages import Candidate, FineTuningResult, Metrics
from fedmodels.protocol.pages import LEFT_OUT
from fedmodels.protocol.progress import improves
from fedmodels.recipe import FineTuning, LocalTraining, Recipe
from infra.layout import round_key
from tasks.coordinator.aggregating import FILE as AGGREGATE
from tasks.coordinator.champion import standing_champion
from tasks.coordinator.interrupting import interrupted
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sets import finite_scores, loaded_workbench, own_set
from tasks.exchange import create_message
from tasks.models import adopt_model, forget_models, model_file
from tasks.policy import LOCAL, STORE
from tasks.tagging import tagged

if TYPE_CHECKING:
    from fedmodels.workbench import Workbench

FILE = "fine-tuned.safetensors"


class Tuned(BaseModel):
    """The model that goes on: its file in the round's folder and that one's hash, its scores, and why.

    `aggregate_sha256` is that of the average, from which it may have been fine-tuned.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    sha256: str
    aggregate_sha256: str
    metrics: Metrics | None
    fine_tuning: FineTuningResult | None


@task(task_run_name="fine_tune · round {round_number}", **LOCAL)
@tagged
def fine_tune(run: CoordinatorRun, round_number: int, aggregate_sha256: str) -> Tuned:
    """Score the aggregate on validation, train it on public, score again, keep the better one.

    The model that is scored last is probably the candidate, and is uploaded meanwhile. An average without
    finite scores goes to the gate as it is, which refuses it. Without a public row nothing is trained.
    """
    recipe, bench = run.plan.recipe, loaded_workbench(run)
    aggregated = run.round_folder(round_number) / AGGREGATE
    bench.load(aggregated, aggregate_sha256)
    config = recipe.fine_tuning
    if config and not len(own_set(run, recipe, "public")):
        get_run_logger().warning("%s.", LEFT_OUT.capitalize())
        config = None
    if config is None:
        run.publisher.publish_ahead(aggregated, aggregate_sha256)
    before = finite_scores(run, bench, "validation")
    if before is None or config is None:
        return _untuned(aggregate_sha256, before, None)
    tuned_sha256, after = _tune(run, bench, config, round_number)
    kept = after is not None and helps(recipe.key_metric, after, before)
    verdict = FineTuningResult(kept=kept, before=before, after=after)
    if kept and after:
        return Tuned(
            file=FILE,
            sha256=tuned_sha256,
            aggregate_sha256=aggregate_sha256,
            metrics=after,
            fine_tuning=verdict,
        )
    return _untuned(aggregate_sha256, before, verdict)


def helps(key_metric: str, after: Metrics, before: Metrics) -> bool:
    """Whether fine-tuning is worth keeping: the key metric rises, and the loss does not rise with it.

    One row of a few hundred moves an accuracy; the loss moves with all of them.
    """
    return improves(key_metric, after, before) and after.loss <= before.loss


def _untuned(sha256: str, metrics: Metrics | None, verdict: FineTuningResult | None) -> Tuned:
    return Tuned(file=AGGREGATE, sha256=sha256, aggregate_sha256=sha256, metrics=metrics, fine_tuning=verdict)


def _tune(
    run: CoordinatorRun, bench: "Workbench", config: FineTuning, round_number: int
) -> tuple[str, Metrics | None]:
    """Train on public in place; the written model's SHA-256 and its scores on validation.

    No scores when they, or the training, were not finite. The learning rate decays over all rounds, as it
    does at the parties.
    """
    tuned = run.round_folder(round_number) / FILE
    recipe = run.plan.recipe
    try:
        result = bench.train(
            own_set(run, recipe, "public"),
            as_local_training(config),
            passed_rounds=run.head.passed_rounds,
            num_rounds=recipe.num_rounds,
            seed=(recipe.seed, "coordinator", round_number),
            should_stop=lambda: interrupted(run),
            table="coordinator's public set",
        )
        run.watch.computed(result.compute)
        sha256 = bench.write(tuned)
    except TrainingFailed as error:
        if error.code != "training-not-finite":  # any other fault, as being interrupted, makes no candidate
            raise
        get_run_logger().warning("Fine-tuning is dropped: %s", error)
        return "", None
    run.publisher.publish_ahead(tuned, sha256)
    after = finite_scores(run, bench, "validation")
    if after is None:
        get_run_logger().warning("Fine-tuning is dropped: its scores are not finite")
    return sha256, after


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
    path = run.round_folder(round_number) / tuned.file
    if path.exists():  # an earlier try may have come further than this
        run.publisher.publish(path, tuned.sha256)
        adopt_model(path, tuned.sha256, run.models)
    forget_models(run.models, keep=frozenset({run.head.model_sha256, tuned.sha256}))
    evaluate = recipe.evaluate_at_parties and tuned.metrics is not None
    candidate = Candidate(
        run=run.run,
        round=round_number,
        model_sha256=tuned.sha256,
        evaluate=evaluate,
        evaluation_timeout=recipe.evaluation_timeout,
        metrics=tuned.metrics,
        fine_tuning=tuned.fine_tuning,
        aggregate_sha256=tuned.aggregate_sha256,
        champion=standing_champion(run) if evaluate else None,
    )
    standing = create_message(run.store, round_key(run.run, round_number, "candidate"), candidate)
    local = model_file(run.models, standing.model_sha256)
    if local.exists():  # else another coordinator proposed a model of its own
        run.publisher.see_to(local, standing.model_sha256)
    return standing
