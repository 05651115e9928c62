"""Bringing a Prefect server to what is declared: idempotent, one request per object, side by side."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fedmodels.errors import InputError, StackError
from infra.deployments import drift_automation, heartbeats
from infra.deployments.declaration import Declaration, Deployment, Pool, locked_template
from infra.deployments.services import RETRAINING_FLOW, schedule_invalid
from infra.deployments.starting import mapped

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.events.schemas.automations import AutomationCore

YEARS_AHEAD = 8
"""A 29th of February comes at the latest within these."""


async def apply(
    client: "PrefectClient", declaration: Declaration, schemas: Mapping[str, dict[str, Any]]
) -> None:
    """Create or correct pools, GPU limits, flows, deployments, and automations: for silent runs, for drift.

    Args:
        client: of the server that is to follow the declaration.
        declaration: what there is to be.
        schemas: entrypoint to what `parameter_schema` says about it.

    Raises:
        InputError: a schedule is no cron expression, or never falls due; nothing on the
            server has changed then.
    """
    schedules = [await _schedules(deployment) for deployment in declaration.deployments]
    flows = sorted({deployment.flow for deployment in declaration.deployments})
    ids = {flow: await client.create_flow_from_name(flow) for flow in flows}
    for pool in declaration.pools:
        await _apply_pool(client, pool)
    for limit in declaration.gpu_limits:
        await client.upsert_global_concurrency_limit_by_name(limit, 1)
    made = {
        deployment.flow: await _apply_deployment(
            client, deployment, ids[deployment.flow], schemas[deployment.entrypoint], due
        )
        for deployment, due in zip(declaration.deployments, schedules, strict=True)
    }
    await _apply_automation(client, heartbeats.automation())
    if RETRAINING_FLOW in made:
        await _apply_automation(client, drift_automation.automation(made[RETRAINING_FLOW]))


def deploy(api_url: str, declaration: Declaration) -> None:
    """Bring the server at `api_url` to the declaration, whatever it knows of it.

    Raises:
        InputError: a schedule is no cron expression, or never falls due, or `api_url` is no
            URL.
        StackError: a flow cannot be imported. In these cases nothing on the server has changed. Or the server
            refuses what it is asked, as one does that is no Prefect server.
        PrefectAway: the server does not answer.
    """
    from prefect.client.orchestration import PrefectClient

    parts = urlsplit(api_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            f"The server {api_url!r} is no URL of a Prefect API",
            fix="give one like http://prefect:4200/api",
            code="server-invalid",
        )
    schemas = parameter_schemas(declaration)

    async def applied() -> None:
        async with PrefectClient(api_url) as client:
            await apply(client, declaration, schemas)

    with mapped("deployments"):
        asyncio.run(applied())


def parameter_schemas(declaration: Declaration) -> dict[str, dict[str, Any]]:
    """Each entrypoint's parameters.

    Raises:
        StackError: a flow cannot be imported.
    """
    entrypoints = sorted({deployment.entrypoint for deployment in declaration.deployments})
    return {entrypoint: parameter_schema(entrypoint) for entrypoint in entrypoints}


def parameter_schema(entrypoint: str) -> dict[str, Any]:
    """JSON schema of the flow's parameters, for the form in the UI and the check of a run's parameters.

    Raises:
        StackError: the flow cannot be imported.
    """
    from prefect.flows import load_flow_from_entrypoint

    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except (ImportError, AttributeError, ValueError) as error:
        raise StackError(
            f"The flow {entrypoint} cannot be imported ({type(error).__name__}: {error})",
            fix="install fedcart editable in this environment (make setup)",
            code="flow-missing",
        ) from error
    return dict(flow.parameters.model_dump(exclude_unset=True))


async def _apply_pool(client: "PrefectClient", pool: Pool) -> None:
    """Create the pool, or put its locked template back when somebody changed it."""
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists

    wanted = {
        "description": pool.description,
        "base_job_template": locked_template(),
        "concurrency_limit": pool.concurrency_limit,
    }
    try:
        await client.create_work_pool(WorkPoolCreate(name=pool.name, type="process", **wanted))
    except ObjectAlreadyExists:
        await client.update_work_pool(pool.name, WorkPoolUpdate(is_paused=False, **wanted))


async def _apply_deployment(
    client: "PrefectClient",
    deployment: Deployment,
    flow_id: Any,
    schema: dict[str, Any],
    schedules: "list[DeploymentScheduleCreate]",
) -> "UUID":
    """Create or correct the deployment; return its id."""
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions

    return await client.create_deployment(
        flow_id=flow_id,
        name=deployment.name,
        entrypoint=deployment.entrypoint,
        work_pool_name=deployment.pool,
        description=deployment.description,
        tags=list(deployment.tags),
        parameter_openapi_schema=schema,
        enforce_parameter_schema=True,
        parameters=dict(deployment.parameters),
        schedules=schedules,
        concurrency_limit=deployment.at_once,
        concurrency_options=ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(deployment.above))
        if deployment.at_once
        else None,
        pull_steps=[],
        job_variables={},
    )


async def _schedules(deployment: Deployment) -> "list[DeploymentScheduleCreate]":
    """The deployment's schedule, if it has one, as Prefect takes it.

    Raises:
        InputError: it is no cron expression, or never falls due.
    """
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    if deployment.schedule is None:
        return []
    try:
        schedule = CronSchedule(cron=deployment.schedule, timezone="UTC")
    except ValueError:
        raise schedule_invalid(deployment.schedule, deployment.flow, "is no cron expression") from None
    if not await _falls_due(deployment.schedule):
        never = f"never falls due within {YEARS_AHEAD} years"
        raise schedule_invalid(deployment.schedule, deployment.flow, never)
    return [DeploymentScheduleCreate(schedule=schedule, active=True)]


async def _falls_due(cron: str) -> bool:
    """Whether the server's own reading of a cron expression finds a moment in the next years."""
    from prefect.server.schemas.schedules import CronSchedule

    now = datetime.now(UTC)
    try:
        due = await CronSchedule(cron=cron, timezone="UTC").get_dates(n=1, start=now)
    except ValueError:  # there is no such day
        return False
    return bool(due) and due[0] <= now + timedelta(days=366 * YEARS_AHEAD)


async def _apply_automation(client: "PrefectClient", wanted: "AutomationCore") -> None:
    """Create an automation, or put it back when somebody changed it.

    An owner is named when it is created; the server keeps it, and neither tells it nor takes it again.
    """
    known = await client.read_automations_by_name(wanted.name)
    if not known:
        await client.create_automation(wanted)
    for extra in known[1:]:
        await client.delete_automation(extra.id)
    unowned = type(wanted).model_validate(wanted.model_dump(exclude={"owner_resource"}))
    if known and not _follows(known[0], unowned):
        await client.update_automation(known[0].id, unowned)


def _follows(standing: "AutomationCore", wanted: "AutomationCore") -> bool:
    """Whether an automation is what is wanted, in whatever else the server added to it."""
    return type(wanted).model_validate(standing.model_dump(exclude={"owner_resource"})) == wanted
