"""Telling Prefect of flow runs that were stopped together with everything that could tell of them."""

from collections.abc import Iterable
from uuid import UUID

from infra.deployments.starting import lasting_client, mapped


def say_stopped(flow_runs: Iterable[str], why: str, *, api_url: str) -> None:
    """Turn into Crashed what Prefect takes for under way, and into Cancelled what was being cancelled.

    A run that has ended, waits for a person or has not begun is left as it is.

    Args:
        flow_runs: ids of runs whose processes are gone.
        why: message of the new state.
        api_url: the Prefect API.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know one of them, or refuses.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelled, Crashed

    ends = {
        StateType.RUNNING: Crashed,
        StateType.PENDING: Crashed,
        StateType.CANCELLING: Cancelled,
    }
    client = lasting_client(api_url)
    for flow_run in flow_runs:
        with mapped(f"flow run {flow_run}"):
            state = client.read_flow_run(UUID(flow_run)).state
            if state and (end := ends.get(state.type)):
                client.set_flow_run_state(UUID(flow_run), end(message=why))
