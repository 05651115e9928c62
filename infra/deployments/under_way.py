"""What Prefect knows of flow runs that have a process."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from infra.deployments.declaration import TRAINING_FLOW
from infra.deployments.starting import lasting_client, mapped

RUN_TAG = "run:"


@dataclass(frozen=True)
class UnderWay:
    """A flow run that goes on.

    Args:
        name: as Prefect shows it.
        run: id of the training run that it is part of; empty where it is of none.
        trains: whether it is that run's coordinator.
    """

    name: str
    run: str
    trains: bool


def under_way(flow_runs: Iterable[str], *, api_url: str) -> list[UnderWay]:
    """Those of the flow runs that neither have ended nor are being cancelled.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know one of them.
    """
    from prefect.client.schemas.objects import StateType

    going = {StateType.RUNNING, StateType.PENDING, StateType.PAUSED}
    found = []
    for flow_run_id in flow_runs:
        with mapped(f"flow run {flow_run_id}"):
            flow_run = lasting_client(api_url).read_flow_run(UUID(flow_run_id))
        if flow_run.state and flow_run.state.type in going:
            run = next((tag.removeprefix(RUN_TAG) for tag in flow_run.tags if tag.startswith(RUN_TAG)), "")
            found.append(UnderWay(flow_run.name, run, trains=flow_run.name.startswith(TRAINING_FLOW)))
    return found
