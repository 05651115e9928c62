"""The steps of a retraining as Prefect tasks: each can be taken again and finds what stands."""

import time
from typing import Any

from prefect import task

from fedmodels.errors import RunError
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.retraining import PrivacyBudget, RetrainingRequest, retraining_tags
from fedmodels.protocol.withdrawal_retraining import is_withdrawal
from infra.deployments.looking import flow_run_outcome
from infra.deployments.observing import unfinished_trainings
from infra.deployments.starting import find_training, start_training
from infra.layout import closed_key, plan_key
from infra.object_store import ObjectStore
from infra.settings import Settings
from infra.stores import store_from_settings
from infra.waiting import wait_for
from tasks.exchange import read_message
from tasks.policy import STORE
from tasks.retraining.asking import NO_BUDGET, ask_for_retraining, champions_plan, read_reason
from tasks.retraining.without import ask_without_withdrawn
from tasks.tagging import tagged

LONGEST_RUN = 7 * 24 * 3600.0
LOOK_SECONDS = 2.0
FLOW_CHECK_SECONDS = 10.0


class RetrainingDesk:
    """The coordinator's store and settings, for one retraining of a recipe.

    `budget` is the place for the privacy budget: what keeps one answers for it here, and in `WatchDesk`.
    """

    budget: PrivacyBudget = NO_BUDGET

    def __init__(self, recipe: str, settings: Settings) -> None:
        self.recipe = recipe
        self.settings = settings
        self.store: ObjectStore = store_from_settings(settings)


@task(task_run_name="ask_for_retraining · {desk.recipe}", **STORE)
@tagged
def ask(desk: RetrainingDesk, ticket: str, run: str, reason: dict[str, Any] | None) -> RetrainingRequest:
    """Hold the event against the bucket and the rules; take a number, or find the one that was taken.

    Raises:
        QuorumMissed: a party has left, and too few are.
        InputError: the event is of no valid notice, or there is no champion.
        RunConflict: a rule forbids it, or the event comes too late; its code says which.
        PrefectAway: the server does not say which trainings wait there.
    """
    if is_withdrawal(reason):
        return ask_without_withdrawn(
            desk.store,
            desk.recipe,
            ticket,
            run,
            unfinished=unfinished_trainings(desk.recipe),
            budget=desk.budget,
        )
    return ask_for_retraining(
        desk.store,
        desk.recipe,
        ticket,
        run,
        read_reason(reason),
        unfinished=unfinished_trainings(desk.recipe),
        budget=desk.budget,
    )


@task(task_run_name="start_training · {request.run}", **STORE)
@tagged
def start(desk: RetrainingDesk, request: RetrainingRequest) -> str | None:
    """Start the champion's recipe again, with the parties that have not left, unless that was done; its id.

    `None` when the run is in the bucket and the Prefect server, whose database may have been lost, knows
    none of it.

    Raises:
        PrefectAway: the server does not answer.
    """
    known = find_training(request.run)
    if known is not None or desk.store.exists(plan_key(request.run)):
        return known
    plan = champions_plan(desk.store, desk.recipe)
    return start_training(
        plan.recipe.model_dump(mode="json"),
        request.run,
        parties=sorted(set(plan.parties) - set(request.without)),
        tags=retraining_tags(request),
        begins_from=request.begins_from.model_dump(mode="json") if request.begins_from else None,
    )


@task(task_run_name="await_training · {request.run}", **STORE)
@tagged
def await_training(desk: RetrainingDesk, request: RetrainingRequest, flow_run_id: str | None) -> Closed:
    """Wait until the run is closed in the bucket.

    Raises:
        RunError: `coordinator-died`: its flow run ended without closing it, or it lasts for over a week.
    """
    checked = time.monotonic()

    def look() -> Closed | str | None:
        nonlocal checked
        closed = read_message(desk.store, closed_key(request.run), Closed)
        if closed is not None or flow_run_id is None or time.monotonic() - checked < FLOW_CHECK_SECONDS:
            return closed
        checked = time.monotonic()
        return flow_run_outcome(flow_run_id)

    found = wait_for(look, timeout=LONGEST_RUN, longest_wait=LOOK_SECONDS)
    if not isinstance(found, Closed):  # it may have been closed between the two looks
        found = read_message(desk.store, closed_key(request.run), Closed) or found
    if isinstance(found, Closed):
        return found
    raise RunError(
        f"The coordinator of run {request.run} ended without closing it ({found or 'nothing in a week'})",
        fix=f"go on with fedcart train --resume {request.run}, then release it",
        code="coordinator-died",
    )
