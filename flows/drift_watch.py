"""The coordinator's watch: notices of drift in the bucket become events of its Prefect server."""

from collections import Counter
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from fedmodels.errors import FedcartError, write_coded
from infra.settings import load_settings
from tasks.retraining.watching import WatchDesk, look_for_notices
from tasks.tracebacks import silence_tracebacks


@flow(name="drift-watch", persist_result=False)
def drift_watch() -> dict[str, Any] | State[Any]:
    """Look for new drift notices of all parties; emit `fedcart.drift.detected` for each valid one.

    Returns:
        The parties that told of drift, and how many notices were refused, by code.
    """
    silence_tracebacks()
    try:
        seen = look_for_notices(WatchDesk(load_settings()))
    except FedcartError as error:
        return Failed(message=write_coded(error))
    told = sorted({f"{each.recipe}/{each.party}" for each in seen if each.valid})
    return {"told": told, "refused": dict(Counter(each.code for each in seen if not each.valid))}
