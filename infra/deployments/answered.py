"""When a person filled in the form of a suspended flow run, and filling it in for one who spoke elsewhere."""

from collections.abc import Mapping
from itertools import pairwise
from uuid import UUID

from infra.deployments.starting import lasting_client, mapped


def seconds_left(flow_run_id: str, pause_key: str, *, api_url: str | None = None) -> float | None:
    """How long before its deadline a suspended flow run was resumed, in seconds; `None` while it was not.

    The server resumes nothing after the deadline, and notes the moment: however late a worker takes the run
    up again, the answer stays the same.

    Args:
        flow_run_id: of the flow run. Whatever is no id of one has not been resumed.
        pause_key: the key under which it was suspended.
        api_url: the Prefect API; that of the surrounding settings when not given.

    Raises:
        PrefectAway: the server does not answer.
    """
    try:
        run = UUID(flow_run_id)
    except ValueError:
        return None
    with mapped(f"flow run {flow_run_id}"):
        states = lasting_client(api_url).read_flow_run_states(run)
    states.sort(key=lambda state: state.timestamp)
    for suspended, after in pairwise(states):
        deadline = suspended.state_details.pause_timeout
        if suspended.state_details.pause_key != pause_key or deadline is None:
            continue
        if after.is_scheduled() or after.is_running():
            return deadline.timestamp() - after.timestamp.timestamp()
    return None


def resume_answered(
    flow_run_id: str, pause_key: str, form: Mapping[str, str], *, api_url: str | None = None
) -> bool:
    """Fill in the form of a suspended flow run, for a word given elsewhere; whether that wakes it.

    Args:
        flow_run_id: of the flow run. One that is no id, or unknown to the server, waits for nothing.
        pause_key: the key under which it was suspended.
        form: what was said, by field.
        api_url: the Prefect API; that of the surrounding settings when not given.

    Raises:
        PrefectAway: the server does not answer.
        StackError: it refuses the request.
    """
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.exceptions import ObjectNotFound

    try:
        run = UUID(flow_run_id)
    except ValueError:
        return False
    with mapped(f"flow run {flow_run_id}"):
        client = lasting_client(api_url)
        try:
            state = client.read_flow_run(run).state
        except ObjectNotFound:
            return False
        if state is None or not state.is_paused() or state.state_details.pause_key != pause_key:
            return False
        return client.resume_flow_run(run, dict(form)).status == SetStateStatus.ACCEPT
