"""Tidying up below one role's prefix and on its disk; scheduled for each role on its own pool."""

from collections.abc import Callable

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Failed

from fedmodels.errors import FedcartError, write_coded
from infra.deployments.declaration import COORDINATOR
from infra.deployments.services import HOUSEKEEPING_FLOW, SWEEP_AGE
from infra.settings import Settings, load_settings
from tasks.housekeeping import (
    hear_what_was_withdrawn,
    record_missing_releases,
    reject_overdue_releases,
    sweep_disk,
    sweep_prefix,
)
from tasks.tracebacks import silence_tracebacks


def name_of_flow_run() -> str:
    """`housekeeping · ROLE · 2026-01-02 03:30`; without the role, where the settings are faulty."""
    try:
        role = f" · {load_settings().role}"
    except FedcartError:  # the flow says so
        role = ""
    return f"{HOUSEKEEPING_FLOW}{role} · {flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"


@flow(name=HOUSEKEEPING_FLOW, flow_run_name=name_of_flow_run, persist_result=False)
def housekeeping(older_than: str = SWEEP_AGE) -> dict[str, int] | State[dict[str, int]]:
    """Sweep the role's prefix and disk; at the coordinator, before that, reject what nobody approved in time.

    There, notices of withdrawal are heard, and releases that the models repository lacks are recorded, too.
    None of these holds up another: a damaged message stops every sweep, and a deadline rejects all the same.

    Args:
        older_than: what is younger is spared: `36h`, `7d`, `2w`; at least `1h`.
    """
    silence_tracebacks()
    try:
        settings = load_settings()
    except FedcartError as error:
        return Failed(message=write_coded(error))
    done: dict[str, int] = {"releases_rejected": 0}
    faults: list[str] = []
    for name, step in steps(settings, older_than).items():
        try:
            done[name] = step()
        except FedcartError as error:
            faults.append(write_coded(error))
    return Failed(message=" ".join(faults)) if faults else done


def steps(settings: Settings, older_than: str) -> dict[str, Callable[[], int]]:
    """What the role has to do, in order, by the name under which its number is told."""
    sweeping = {
        "bytes_swept": lambda: sweep_prefix(settings, older_than),
        "disk_bytes_swept": lambda: sweep_disk(settings, older_than),
    }
    if settings.role != COORDINATOR:
        return sweeping
    return {
        "withdrawals_heard": lambda: hear_what_was_withdrawn(settings),
        "releases_rejected": lambda: reject_overdue_releases(settings),
        "tags_recorded": lambda: record_missing_releases(settings),
        **sweeping,
    }
