"""Drift answered with a training: hold the event against the bucket, train, and let the release gate decide.

A flow run that is suspended for a person's approval begins again from the top when it is resumed. By its own
id it finds the retraining that it began, the run that is over, and the release that stands.
"""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from fedmodels.errors import FedcartError, RunConflict, write_coded
from fedmodels.identifiers import check_identifier, new_run_id
from flows.model_release import release
from infra.settings import load_settings
from tasks.release.desk import ReleaseDesk
from tasks.retraining.steps import RetrainingDesk, ask, await_training, start
from tasks.tagging import tag_flow_run
from tasks.tracebacks import silence_tracebacks

RULES = frozenset(
    {
        "drift-disabled",
        "drift-quorum",
        "drift-nothing-new",
        "drift-run-open",
        "drift-cool-down",
        "drift-budget",
        "withdrawal-run-open",
    }
)
TOO_LATE = frozenset(
    {
        "drift-notice-outdated",
        "drift-notice-late",
        "drift-answered",
        "withdrawal-nothing",
        "withdrawal-answered",
    }
)
NOT_STARTED = RULES | TOO_LATE
"""Codes with which nothing is wrong: it is not the time to train, or another event came first.

`drift-run-stopped` and `withdrawal-run-stopped` are none of them: drift or right wait until a person acts.
"""


@flow(name="retraining", flow_run_name="retraining · {recipe}", persist_result=False)
def retraining(recipe: str, reason: dict[str, Any] | None = None) -> dict[str, Any] | State[Any]:
    """Train the champion's recipe again because its parties' data have drifted, and release what comes of it.

    Or because the champion learned from what was withdrawn: then without that, and with no cool-down.

    Before anything starts, the event is held against the notices that the coordinator found valid, and
    against cool-down, quorum, open runs and privacy budget.

    Args:
        recipe: name of the recipe.
        reason: the words of the event `fedcart.drift.detected`; none when a person asks; `{"cause":
            "withdrawal"}` for a retraining without what was withdrawn.
    """
    silence_tracebacks()
    try:
        desk = RetrainingDesk(check_identifier("recipe", recipe), load_settings())
        tag_flow_run(f"recipe:{recipe}")
        scheduled = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
        return retrain(desk, str(runtime.flow_run.id), new_run_id(recipe, scheduled), reason)
    except RunConflict as error:
        said = write_coded(error)
        return (
            Completed(name="NotStarted", message=said) if error.code in NOT_STARTED else Failed(message=said)
        )
    except FedcartError as error:
        return Failed(message=write_coded(error))


def retrain(
    desk: RetrainingDesk, ticket: str, run: str, reason: dict[str, Any] | None
) -> dict[str, Any] | State[Any]:
    """Ask, start, wait, release.

    Returns:
        What `flows.model_release.release` returns: the new champion, or a state that says why there is none.

    Raises:
        RunConflict: a rule forbids it, the run did not finish, or another champion came first.
        InputError: the event is of no valid notice.
    """
    request = ask(desk, ticket, run, reason)
    await_training(desk, request, start(desk, request))
    released = release(ReleaseDesk(request.run, desk.settings), ticket, request.reason)
    return {**released, "run": request.run} if isinstance(released, dict) else released
