"""Withdrawals as the watch sees them: heard, shown, and answered with a training without them.

Nothing is remembered beside the bucket: a champion that is touched, and that no retraining answers, is reason
enough at each look. Prefect is given the same key for some minutes, so that looks in between start one.
"""

import time
from dataclasses import dataclass

from prefect import task
from prefect.logging import get_run_logger

from fedmodels.errors import FedcartError, InputError, IntegrityError, QuorumMissed, RunConflict, write_coded
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.retraining import TELL_AGAIN
from fedmodels.protocol.withdrawal import WithdrawalNotice
from fedmodels.protocol.withdrawal_retraining import (
    NEEDS_A_PERSON,
    WITHDRAWAL,
    WithdrawalFacts,
    check_under_way,
    check_withdrawal,
)
from infra.deployments.observing import unfinished_retrainings, unfinished_trainings
from infra.deployments.starting import start_retraining
from tasks.policy import STORE
from tasks.release.hearing import hear_withdrawals
from tasks.release.reading import read_released, released_recipes
from tasks.release.withdrawn import known_notices, mark_release
from tasks.retraining.showing import show_withdrawn
from tasks.retraining.standing import read_retrainings
from tasks.retraining.under_way import retraining_under_way
from tasks.retraining.watching import WatchDesk
from tasks.retraining.without import gather_withdrawal, touching_champion


@dataclass(frozen=True)
class Answered:
    """What a look did about withdrawals."""

    started: tuple[str, ...] = ()
    """Recipes of which a retraining was started."""
    held_up: tuple[FedcartError, ...] = ()
    """What a person has to act on before one can be."""
    damaged: IntegrityError | InputError | None = None
    """What of a recipe cannot be read, or is gone; it holds up no other one."""


@task(task_run_name="answer_withdrawals", **STORE)
def answer_withdrawals(desk: WatchDesk) -> Answered:
    """Hear what parties have withdrawn, and start a retraining of each recipe whose champion that touches.

    Raises:
        PrefectAway: the server does not answer; the next look goes on.
    """
    log = get_run_logger()
    heard = hear_withdrawals(desk.store, desk.signing_key, desk.party_keys)
    damaged = list(heard.damaged)
    for refusal in heard.refused:
        log.warning("A notice of withdrawal is refused: %s", write_coded(refusal))
    for notice in heard.notices:
        log.info("Party %s %s: %s", notice.party, _what(notice), notice.recipe)
    for notice in heard.restored:
        log.info("The copy of notice %d of %s is restored: %s", notice.number, notice.party, notice.recipe)
    started: list[str] = []
    held: list[FedcartError] = []
    for recipe in released_recipes(desk.store):
        try:
            looked = start_if_due(desk, recipe)
        except (IntegrityError, InputError) as error:
            damaged.append(error)
            continue
        if looked.started:
            started.append(recipe)
        elif looked.waits is not None and looked.waits.code in NEEDS_A_PERSON:
            held.append(looked.waits)
    for each in damaged:
        log.warning("%s", write_coded(each))
    return Answered(tuple(started), tuple(held), damaged[0] if damaged else None)


@dataclass(frozen=True)
class LookedAt:
    """What a look did about one recipe: neither, where nothing that was withdrawn touches its champion."""

    started: bool = False
    waits: RunConflict | QuorumMissed | None = None
    """What is in the way of a retraining, or the retraining that is the answer already."""


def start_if_due(desk: WatchDesk, recipe: str, api_url: str | None = None, *, shown: bool = True) -> LookedAt:
    """Start a retraining if the recipe's champion learned from what was withdrawn and none answers that.

    Args:
        desk: of the coordinator.
        recipe: name of the recipe.
        api_url: the Prefect API; that of the surrounding settings when not given.
        shown: whether to say so in an artifact of the surrounding flow run's server.

    Raises:
        IntegrityError: champion, run or a retraining's record cannot be read.
        InputError: the request of the champion's release, or of one that asks a person, is gone.
        PrefectAway: the server does not answer.
    """
    notices = known_notices(desk.store, recipe)
    released = read_released(desk.store, recipe) if notices else None
    if released is None:
        return LookedAt()
    champion, plan = released
    touching = touching_champion(desk.store, champion, notices)
    if shown:
        show_withdrawn(recipe, champion.release, touching)
    if not touching:
        return LookedAt()
    mark_release(desk.store, desk.signing_key, recipe, champion.release, touching)  # it may have none yet
    going = retraining_under_way(desk.store, recipe, unfinished_retrainings(api_url=api_url), notices)
    unfinished = unfinished_trainings(recipe, api_url=api_url)
    known = read_retrainings(desk.store, recipe, unfinished)
    facts = gather_withdrawal(desk.store, plan, notices, touching, known, unfinished, desk.budget)
    try:
        if going is not None and (going.release is not None or not facts.answered):
            # what trains may well be the answer; what waits for a person is named, the answer or not
            begun = known.of(going.ticket)
            check_under_way(recipe, begun.run if begun else None, going.release)
        check_withdrawal(facts)
    except (RunConflict, QuorumMissed) as error:
        return LookedAt(waits=error)
    start_retraining(recipe, WITHDRAWAL, _key(facts, known.next_number), api_url=api_url)
    return LookedAt(started=True)


def _key(facts: WithdrawalFacts, number: int) -> str:
    """The same for some minutes, unless something begins: then a retraining may be started once more."""
    told = [*facts.touching, str(number), str(int(time.time() // TELL_AGAIN))]
    return f"withdrawal-{facts.recipe}-{sha256_hex(canonical_json(told))[:32]}"


def _what(notice: WithdrawalNotice) -> str:
    return "leaves" if notice.leaves else "withdrew rows"
