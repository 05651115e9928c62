"""Asking for a retraining without what was withdrawn: hold the champion against it, take a number."""

from collections.abc import Set

from fedmodels.protocol.messages import Plan
from fedmodels.protocol.releases import Champion
from fedmodels.protocol.retraining import PrivacyBudget, RetrainingRequest
from fedmodels.protocol.withdrawal import WithdrawalNotice, leaving, reason_of
from fedmodels.protocol.withdrawal_retraining import WithdrawalFacts, check_withdrawal
from infra.layout import known_withdrawal_key, retraining_key
from infra.object_store import ObjectStore
from tasks.exchange import create_message
from tasks.release.reading import read_request
from tasks.release.withdrawn import known_notices, touches_of
from tasks.retraining.asking import NO_BUDGET, champion_of
from tasks.retraining.standing import Retrainings, open_runs, read_retrainings


def ask_without_withdrawn(
    store: ObjectStore,
    recipe: str,
    ticket: str,
    run: str,
    *,
    unfinished: Set[str],
    budget: PrivacyBudget = NO_BUDGET,
) -> RetrainingRequest:
    """Take a number for a retraining without what was withdrawn, or find what this ticket began before.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        ticket: id of whoever asks, the same when it is started again.
        run: id of the run that would train.
        unfinished: runs of the recipe whose training Prefect has not seen end.
        budget: the privacy budget's word on one more run.

    Raises:
        InputError: `drift-no-champion`.
        FedcartError: as `check_withdrawal`.
    """
    while True:
        # The numbers come first: whoever begins after this look takes the one that would be taken here.
        known = read_retrainings(store, recipe, unfinished)
        if begun := known.of(ticket):
            return begun
        champion, plan = champion_of(store, recipe)
        notices = known_notices(store, recipe)
        touching = touching_champion(store, champion, notices)
        check_withdrawal(gather_withdrawal(store, plan, notices, touching, known, unfinished, budget))
        request = RetrainingRequest(
            recipe=recipe,
            number=known.next_number,
            ticket=ticket,
            run=run,
            champion_sha256=champion.model_sha256,
            parties=tuple(sorted({notice.party for notice in touching})),
            withdrawals=_keys(touching),
            without=tuple(sorted(leaving(notices) & set(plan.parties))),
            reason=reason_of(touching),
        )
        if create_message(store, retraining_key(recipe, request.number), request) == request:
            return request


def touching_champion(
    store: ObjectStore, champion: Champion, notices: tuple[WithdrawalNotice, ...]
) -> tuple[WithdrawalNotice, ...]:
    """Those of the notices that touch the champion."""
    if not notices:
        return ()
    recipe, release = champion.recipe, champion.release
    request = read_request(store, recipe, release)
    touches = touches_of(store, recipe, request.run, request.round, notices, release)
    return tuple(touch.notice for touch in touches)


def gather_withdrawal(
    store: ObjectStore,
    plan: Plan,
    notices: tuple[WithdrawalNotice, ...],
    touching: tuple[WithdrawalNotice, ...],
    known: Retrainings,
    unfinished: Set[str],
    budget: PrivacyBudget = NO_BUDGET,
) -> WithdrawalFacts:
    """What the rules look at.

    Args:
        store: the bucket.
        plan: of the champion's run.
        notices: all of the recipe.
        touching: those that touch the champion.
        known: the recipe's retrainings.
        unfinished: as `ask_without_withdrawn`.
        budget: as there.
    """
    keys = _keys(touching)
    return WithdrawalFacts(
        recipe=plan.recipe.name,
        touching=keys,
        answered=known.answer_all(frozenset(keys)),
        left=tuple(sorted(set(plan.parties) - leaving(notices))),
        needed=plan.recipe.min_available_parties,
        runs=open_runs(store, plan.recipe.name, known, unfinished) if touching else (),
        budget=budget.forbids(plan),
    )


def _keys(notices: tuple[WithdrawalNotice, ...]) -> tuple[str, ...]:
    return tuple(sorted(known_withdrawal_key(each.party, each.recipe, each.number) for each in notices))
