"""The coordinator's watch: notices of drift become events of its Prefect server, withdrawals trainings."""

from collections import Counter
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from fedmodels.errors import FedcartError, IntegrityError, write_coded
from fedmodels.protocol.drift import SeenNotice
from infra.settings import load_settings
from tasks.retraining.watching import WatchDesk, note_notices, tell_of_drift
from tasks.retraining.withdrawing import answer_withdrawals
from tasks.tracebacks import silence_tracebacks


def name_of_flow_run() -> str:
    """`watch · 2026-01-02 03:30`."""
    return f"watch · {flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"


@flow(name="drift-watch", flow_run_name=name_of_flow_run, persist_result=False)
def drift_watch() -> dict[str, Any] | State[Any]:
    """Note new drift notices of all parties; emit `fedcart.drift.detected` for what is to be told of them.

    Before that, notices of withdrawal are heard, and a champion that they touch is trained again without what
    was withdrawn.

    That is one event a party and recipe: for a new valid notice about the champion, and again while no
    retraining has answered it and none of the rules forbids one.

    Returns:
        Recipes and parties of which an event told, how many new notices were refused, by code, and recipes
        that are trained again without what was withdrawn. The state is *HeldUp* while drift or a withdrawal
        waits for a person, and says what to do.
    """
    silence_tracebacks()
    try:
        desk = WatchDesk(load_settings())
        answered = answer_withdrawals(desk)
        noted, damaged = noted_of(desk)
        told = tell_of_drift(desk)
        if fault := damaged or answered.damaged:
            raise fault
        if held_up := (*answered.held_up, *told.held_up):
            return Completed(name="HeldUp", message=" ".join(map(write_coded, held_up)))
    except FedcartError as error:
        return Failed(message=write_coded(error))
    return {
        "told": [f"{each.recipe}/{each.party}" for each in told.notices],
        "refused": dict(Counter(each.code for each in noted if not each.valid)),
        "without_withdrawn": list(answered.started),
    }


def noted_of(desk: WatchDesk) -> tuple[tuple[SeenNotice, ...], IntegrityError | None]:
    """What was noted; or what of a recipe is damaged, which holds up no other recipe."""
    try:
        return note_notices(desk), None
    except IntegrityError as error:
        return (), error
