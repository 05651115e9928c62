"""Proposing a run's model for release on the deployments that are up, and waiting for what comes of it."""

from pathlib import Path

from fedmodels.errors import StackError
from flows.following import api_url, require_worker, running_store
from infra.deployments.starting import flow_run_ending, start_release
from infra.waiting import wait_for
from tasks.reading import read_plan

RELEASE_TIMEOUT = 3600.0


def propose_release(home: Path, run: str, reason: str) -> dict[str, str]:
    """Start `model-release` for the run, and wait until it has ended, or waits for a person.

    Returns:
        `run`, `flow_run`, the `state`'s name, and its `message`.

    Raises:
        InputError: there is no such run.
        StackError: the stack is down, or the check did not end within an hour.
    """
    read_plan(running_store(home), run)
    require_worker(home)
    server = api_url(home)
    flow_run = start_release(run, reason, api_url=server)
    found = wait_for(
        lambda: flow_run_ending(flow_run, api_url=server), timeout=RELEASE_TIMEOUT, longest_wait=1
    )
    if found is None:
        raise StackError(
            f"The release of run {run} did not end within {RELEASE_TIMEOUT:.0f} s",
            fix="see its flow run in the Prefect UI, and fedcart status",
            code="release-slow",
        )
    state, message = found
    return {"run": run, "flow_run": flow_run, "state": state, "message": message}
