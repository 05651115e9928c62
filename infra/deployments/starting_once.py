"""A new training is begun once, however many ask for its name at the same time.

A plan in the bucket forbids a second one, but the coordinator writes it only seconds after it was asked for.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from fedmodels.errors import RunConflict
from infra.deployments.declaration import training_name
from infra.deployments.starting import lasting_client, mapped, start_training

_MARK = "fedcart.start"
"""Label with which a flow run names the call that made it."""
_MOST = 200
"""Flow runs of one name that are looked at, as many as the server gives at once."""


def start_new_training(
    recipe: dict[str, Any],
    run: str,
    *,
    parties: Sequence[str] | None = None,
    repeats: str | None = None,
    api_url: str | None = None,
) -> str:
    """As `start_training`, unless a start of this run is under way; one that has ended may be repeated.

    The server makes one flow run for each key, and gives it to whoever asks later: a label of our own tells
    whether it was made for us.

    Raises:
        RunConflict: another start is under way (`run-exists`).
        PrefectAway: the server does not answer.
        StackError: it does not know the deployment, or refuses.
    """
    ended, mark = _endings(run, api_url), uuid4().hex
    if all(ended):
        key = f"{training_name(run)} {len(ended)}"
        made = start_training(
            recipe, run, parties=parties, repeats=repeats, api_url=api_url, key=key, labels={_MARK: mark}
        )
        with mapped(f"flow run {made}"):
            labels = lasting_client(api_url).read_flow_run(UUID(made)).labels
        if labels.get(_MARK) == mark:
            return made
    raise RunConflict(
        f"The run {run} is being started already",
        fix=f"choose another name, or watch it with fedcart runs follow {run}",
        code="run-exists",
    )


def _endings(run: str, api_url: str | None) -> list[bool]:
    """Of each coordinator's flow run of the training whether it has ended."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[training_name(run)]))
    with mapped(f"run {run}"):
        found = lasting_client(api_url).read_flow_runs(flow_run_filter=wanted, limit=_MOST)
    return [flow_run.state is not None and flow_run.state.is_final() for flow_run in found]
