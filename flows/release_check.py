"""Scheduled at the coordinator: the latest finished run of a recipe is proposed for release, once."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from fedmodels.errors import FedcartError, write_coded
from fedmodels.protocol.releases import Unreleasable
from infra.deployments.services import RELEASE_CHECK_FLOW
from infra.settings import load_settings
from tasks.release.waiting import find_unreleased, start_release
from tasks.tracebacks import silence_tracebacks


@flow(name=RELEASE_CHECK_FLOW, flow_run_name="release check · {recipe}", persist_result=False)
def release_check(recipe: str) -> dict[str, str] | State[dict[str, str]]:
    """Start `model-release` for the latest finished run of the recipe, unless it was proposed before.

    Args:
        recipe: name of the recipe.
    """
    silence_tracebacks()
    try:
        run = find_unreleased(load_settings(), recipe)
        if run is None:
            return Completed(name="NothingNew", message=f"No new model of {recipe} waits for its release.")
        if isinstance(run, Unreleasable):
            again = f"mend that and run fedcart release propose {run.run}, or train anew"
            said = f"The model of run {run.run} is not proposed again: {run.code}: {run.sentence}"
            return Completed(name="Unreleasable", message=f"{said.rstrip('.')}; {again}.")
        return {"run": run, "flow_run": start_release(run)}
    except FedcartError as error:
        return Failed(message=write_coded(error))
