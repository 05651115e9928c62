"""A party's look at its own fresh rows, on its own machine; a verdict and a signed notice leave it."""

from contextlib import suppress
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from fedmodels.errors import FedcartError, write_coded
from fedmodels.identifiers import check_identifier
from infra.settings import load_settings
from tasks.drift.checking import NOTHING_FRESH, TOO_FEW_FRESH
from tasks.drift.desk import DriftDesk
from tasks.drift.steps import compare_rows, notify, show_drift
from tasks.party.boundary import sealed_opening
from tasks.tracebacks import silence_tracebacks

NOTHING_TO_DO = frozenset({"drift-no-champion", "drift-disabled", NOTHING_FRESH, TOO_FEW_FRESH})
"""Codes with which a scheduled check ends without a fault: there is nothing to check yet.

After each release fresh rows are few for some hours. Whoever asks by hand is refused for each of them.
"""


@flow(name="drift-monitoring", flow_run_name="drift · {recipe}", persist_result=False)
def drift_monitoring(recipe: str) -> dict[str, Any] | State[Any]:
    """Compare this party's fresh rows of `recipe` with those that the champion was trained on.

    Which party this is, where its tables lie and what it may speak of stands in the settings of the
    process, not in a parameter. Drift that has lasted is told in a signed notice below its own prefix.
    """
    silence_tracebacks()
    try:
        with sealed_opening():
            desk = DriftDesk(check_identifier("recipe", recipe), load_settings())
        return monitor(desk)
    except FedcartError as error:
        said = write_coded(error)
        return (
            Completed(name="NotChecked", message=said)
            if error.code in NOTHING_TO_DO
            else Failed(message=said)
        )


def monitor(desk: DriftDesk) -> dict[str, Any]:
    """Compare, show, notify; names of features and the notice's key.

    Raises:
        FedcartError: nothing could be compared.
    """
    check = compare_rows(desk)
    with suppress(FedcartError):  # what is only shown must not cost the notice
        show_drift(desk, check)
    notice = notify(desk, check)
    allowed = desk.policy.drift_features
    told = [name for name in check.lasting if allowed is None or name in allowed]
    return {"party": desk.party, "recipe": desk.recipe, "lasting": told, "notice": notice}
