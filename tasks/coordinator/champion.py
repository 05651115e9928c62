"""The released model, which parties score beside a candidate: a release compares both on the same rows."""

from prefect.logging import get_run_logger

from fedmodels.errors import IntegrityError
from fedmodels.protocol.messages import StandingChampion
from tasks.coordinator.run import CoordinatorRun
from tasks.release.reading import read_champion


def standing_champion(run: CoordinatorRun) -> StandingChampion | None:
    """The champion of the run's recipe at this moment; `None` before the first release.

    One that cannot be read is a warning: no round fails for what only a later release asks.
    """
    try:
        champion = read_champion(run.store, run.plan.recipe.name)
    except IntegrityError as error:
        get_run_logger().warning("No champion is scored beside the candidate: %s", error)
        return None
    return StandingChampion(run=champion.run, model_sha256=champion.model_sha256) if champion else None
