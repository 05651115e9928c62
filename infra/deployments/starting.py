"""Starting runs of the deployments, finding and ending them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fedmodels.errors import PrefectAway, StackError
from infra.deployments.declaration import (
    COORDINATOR,
    SESSION_FLOW,
    TRAINING_FLOW,
    Declaration,
    training_name,
)
from infra.deployments.services import RELEASE_FLOW, RETRAINING_FLOW
from infra.fault_points import fault_effect
from infra.loopback import is_loopback

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def start_training(
    recipe: dict[str, Any] | str,
    run: str,
    *,
    resume: bool = False,
    parties: Sequence[str] | None = None,
    repeats: str | None = None,
    begins_from: dict[str, Any] | None = None,
    tags: Sequence[str] = (),
    api_url: str | None = None,
    key: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Schedule a run of the coordinator's flow; return the flow run's id at once.

    Args:
        recipe: name of a recipe, or its content without any path.
        run: id of the training run.
        resume: go on with a run that was begun.
        parties: those of the recipe that take part; all of them when not given.
        repeats: the run that this one is to make again.
        begins_from: the model of an earlier run from which it begins.
        tags: of the flow run, beside those of run and recipe.
        api_url: the Prefect API; that of the surrounding settings when not given.
        key: whoever asks with the same one later is given the same flow run, and none is made.
        labels: of a flow run that is made.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know the deployment, or refuses.
    """
    name = recipe if isinstance(recipe, str) else str(recipe.get("name", ""))
    return _start(
        f"{TRAINING_FLOW}/{COORDINATOR}",
        training_name(run),
        {"recipe": recipe, "run": run, "resume": resume, "parties": list(parties) if parties else None}
        | ({"repeats": repeats} if repeats else {})
        | ({"begins_from": begins_from} if begins_from else {}),
        [f"run:{run}", f"recipe:{name}", *tags],
        api_url,
        idempotency_key=key,
        labels=labels,
    )


@fault_effect
def start_party_session(run: str, party: str, *, api_url: str | None = None) -> str:
    """Schedule a session of `party` in `run` on that party's pool; return the flow run's id at once.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know the deployment, or refuses.
    """
    return _start(
        f"{SESSION_FLOW}/{party}",
        f"{SESSION_FLOW} · {party} · {run}",
        {"run": run},
        _session_tags(run, party),
        api_url,
    )


def cancel_party_session(run: str, party: str, flow_run_id: str, *, api_url: str | None = None) -> None:
    """Ask for a session of `party` in `run` to be cancelled; its worker does so within seconds.

    Nothing is done to any other flow run: which one it is, the party says.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know the flow run, or refuses.
    """
    from prefect.states import Cancelling

    with _client(api_url) as client, mapped(f"flow run {flow_run_id}"):
        if {*_session_tags(run, party)} <= {*client.read_flow_run(UUID(flow_run_id)).tags}:
            client.set_flow_run_state(UUID(flow_run_id), Cancelling())


def _session_tags(run: str, party: str) -> list[str]:
    return [f"run:{run}", f"party:{party}"]


def start_release(run: str, reason: str = "", *, api_url: str | None = None) -> str:
    """Schedule the flow that checks and releases the kept model of `run`; return the flow run's id at once.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know the deployment, or refuses.
    """
    return _start(
        f"{RELEASE_FLOW}/{COORDINATOR}",
        f"release · {run}",
        {"run": run, "reason": reason},
        [f"run:{run}"],
        api_url,
    )


def start_retraining(recipe: str, reason: dict[str, Any], key: str, *, api_url: str | None = None) -> str:
    """Schedule the flow that trains the champion's recipe again; return the flow run's id at once.

    Args:
        recipe: its name.
        reason: what the flow is given as its reason.
        key: whoever asks with the same one later is given the same flow run, and none is made.
        api_url: the Prefect API; that of the surrounding settings when not given.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know the deployment, or refuses.
    """
    return _start(
        f"{RETRAINING_FLOW}/{COORDINATOR}",
        f"retraining · {recipe}",
        {"recipe": recipe, "reason": reason},
        [f"recipe:{recipe}"],
        api_url,
        idempotency_key=key,
    )


def missing_deployments(declaration: Declaration, *, api_url: str | None = None) -> tuple[str, ...]:
    """Names of the declared deployments that the server does not know.

    Raises:
        PrefectAway: the server does not answer.
    """
    from prefect.exceptions import ObjectNotFound

    wanted = [f"{deployment.flow}/{deployment.name}" for deployment in declaration.deployments]
    missing = []
    with _client(api_url) as client, mapped("deployments"):
        for name in wanted:
            try:
                client.read_deployment_by_name(name)
            except ObjectNotFound:
                missing.append(name)
    return tuple(missing)


def find_training(run: str, *, api_url: str | None = None) -> str | None:
    """Id of the latest coordinator's flow run of the training `run`; `None` when the server knows of none.

    Raises:
        PrefectAway: the server does not answer.
    """
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[training_name(run)]))
    with _client(api_url) as client, mapped(f"run {run}"):
        found = client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1
        )
    return str(found[0].id) if found else None


def first_task_since(flow_run_id: str, others: Sequence[str], *, api_url: str | None = None) -> float | None:
    """When (seconds since 1970) the run began the first task that is none of the `others`; `None` before.

    Args:
        flow_run_id: of the flow run.
        others: beginnings of names of task runs that are passed over.
        api_url: the Prefect API; that of the surrounding settings when not given.

    Raises:
        PrefectAway: the server does not answer.
    """
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
    with _client(api_url) as client, mapped(f"flow run {flow_run_id}"):
        tasks = client.read_task_runs(flow_run_filter=wanted)
    began = (task.start_time for task in tasks if task.start_time and not task.name.startswith(tuple(others)))
    return min((moment.timestamp() for moment in began), default=None)


def server_answers(api_url: str | None = None) -> bool:
    """Whether a Prefect server is there, that of the surrounding settings by default; says so within seconds.

    Prefect's own client tries again for a minute, each time that it is asked.
    """
    import httpx
    from prefect.settings import PREFECT_API_URL

    url = f"{api_url or PREFECT_API_URL.value()}/health"
    try:
        # Certificates are read where there is something to verify: that takes ten milliseconds each time.
        verified = not url.startswith("http://")
        return httpx.get(url, timeout=5.0, trust_env=not is_loopback(url), verify=verified).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


@cache
def lasting_client(api_url: str | None) -> "SyncPrefectClient":
    """One patient client for this process: making one takes a fifth of a second of processor time."""
    from prefect.client.orchestration import SyncPrefectClient, get_client

    client = SyncPrefectClient(api_url) if api_url else get_client(sync_client=True)
    return client.__enter__()


def cancel(flow_run_id: str, *, api_url: str | None = None) -> None:
    """Ask for the run to be cancelled; its worker does so within seconds.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it does not know the run.
    """
    from prefect.states import Cancelling

    with _client(api_url) as client, mapped(f"flow run {flow_run_id}"):
        client.set_flow_run_state(UUID(flow_run_id), Cancelling())


def _start(
    deployment: str,
    name: str,
    parameters: dict[str, Any],
    tags: list[str],
    api_url: str | None,
    **once: Any,
) -> str:
    with _client(api_url) as client, mapped(f"deployment {deployment}"):
        found = client.read_deployment_by_name(deployment)
        made = client.create_flow_run_from_deployment(
            found.id, parameters=parameters, name=name, tags=tags, job_variables={}, **once
        )
    return str(made.id)


@contextmanager
def _client(api_url: str | None) -> "Iterator[SyncPrefectClient]":
    from prefect.client.orchestration import SyncPrefectClient, get_client

    client = SyncPrefectClient(api_url) if api_url else get_client(sync_client=True)
    with client:
        yield client


@contextmanager
def mapped(thing: str) -> Iterator[None]:
    """Turn what Prefect's client raises into the error tree."""
    import httpx
    from prefect.exceptions import ObjectNotFound

    try:
        yield
    except ObjectNotFound:
        raise StackError(
            f"The Prefect server does not know the {thing}",
            fix="run fedcart up, then fedcart deploy, for the recipe",
            code="deployment-missing",
        ) from None
    except httpx.HTTPStatusError as error:
        raise StackError(
            f"The Prefect server refuses the {thing} with status {error.response.status_code}",
            fix="see the server's log (fedcart status)",
            code="prefect-refused",
        ) from None
    except httpx.HTTPError as error:
        raise PrefectAway(
            f"The Prefect server does not answer ({type(error).__name__})",
            fix="see fedcart status, then run fedcart up",
        ) from None
