"""Asking for a retraining without what was withdrawn: hold the champion against it, take a number."""

from collections.abc import Set
from contextlib import suppress

from fedmodels.errors import InputError, IntegrityError
from fedmodels.protocol.messages import Head, Plan, Record, StartingModel
from fedmodels.protocol.releases import Champion
from fedmodels.protocol.retraining import PrivacyBudget, RetrainingRequest
from fedmodels.protocol.withdrawal import WithdrawalNotice, last_untouched, leaving, reason_of
from fedmodels.protocol.withdrawal_retraining import WithdrawalFacts, check_withdrawal
from infra.layout import (
    head_key,
    known_withdrawal_key,
    model_key,
    plan_key,
    release_key,
    retraining_key,
    round_key,
)
from infra.object_store import ObjectStore
from tasks.exchange import create_message, read_message
from tasks.release.reading import ReleaseView, read_history, read_release, read_request, release_numbers
from tasks.release.withdrawn import counted_rounds, known_notices, touches_of
from tasks.retraining.asking import NO_BUDGET, champion_of
from tasks.retraining.standing import Retrainings, open_runs, read_retrainings

_GOOD = ("champion", "champion before", "ready", "awaiting approval", "outdated")
"""Where a release stands that neither its checks nor a person refused, and whose deadline is not over."""


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
            begins_from=last_that_never_saw(store, plan, champion.release, notices),
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
        answered=known.answer_all(frozenset(keys), _touched(store, plan.recipe.name, notices, known)),
        left=tuple(sorted(set(plan.parties) - leaving(notices))),
        needed=plan.recipe.min_available_parties,
        runs=open_runs(store, plan.recipe.name, known, unfinished) if touching else (),
        budget=budget.forbids(plan),
    )


def _touched(
    store: ObjectStore, recipe: str, notices: tuple[WithdrawalNotice, ...], known: Retrainings
) -> frozenset[str]:
    """Runs of retrainings that are over and whose kept models no release can take: they answer nothing."""
    over = (each.request.run for each in known.begun if each.over and each.answers)
    return frozenset(run for run in over if _is_touched(store, recipe, run, notices))


def _is_touched(store: ObjectStore, recipe: str, run: str, notices: tuple[WithdrawalNotice, ...]) -> bool:
    """Whether a run's kept model learned from something withdrawn, or nobody can tell what from."""
    try:
        head = read_message(store, head_key(run), Head)
        return head is None or bool(touches_of(store, recipe, run, head.best_round, notices))
    except IntegrityError:
        return True


def last_that_never_saw(
    store: ObjectStore, plan: Plan, release: int, notices: tuple[WithdrawalNotice, ...]
) -> StartingModel | None:
    """The last model of the champion's run that never saw what was withdrawn, else of the newest release.

    `None`: there is none that a run of this plan's recipe could begin from; the base model saw nobody's rows.

    Args:
        store: the bucket.
        plan: of the champion's run.
        release: the champion's.
        notices: all of the recipe.
    """
    recipe = plan.recipe.name
    request = read_request(store, recipe, release)
    touches = touches_of(store, recipe, plan.run, request.round, notices, release)
    if all(touch.run == plan.run for touch in touches):
        rounds = counted_rounds(store, recipe, plan.run)
        last = last_untouched(rounds, (touch.round for touch in touches))
        record = read_message(store, round_key(plan.run, last, "record"), Record) if last else None
        if record is not None and store.exists(model_key(record.model_sha256)):
            return StartingModel(run=plan.run, round=record.round, model_sha256=record.model_sha256)
    with suppress(IntegrityError):  # where nobody can tell what was released, the base model is the start
        history = read_history(store, recipe)
        for number in reversed(release_numbers(store, recipe)):
            with suppress(IntegrityError, InputError):  # one that is damaged or gone is none to begin from
                found = _released_before(store, plan, read_release(store, recipe, number, history), notices)
                if found is not None:
                    return found
    return None


def _released_before(
    store: ObjectStore, plan: Plan, view: ReleaseView, notices: tuple[WithdrawalNotice, ...]
) -> StartingModel | None:
    """The model of a release that nobody refused, saw nothing that was withdrawn, and is built as the plan's.

    One that another champion outdated is as good to begin from as any.
    """
    recipe, number = plan.recipe.name, view.request.release
    spoilt = store.exists(release_key(recipe, number, "spoilt"))
    if view.standing not in _GOOD or spoilt or not store.exists(model_key(view.request.model_sha256)):
        return None
    request = view.request
    theirs = read_message(store, plan_key(request.run), Plan)
    if theirs is None or _built(theirs) != _built(plan):
        return None
    if touches_of(store, recipe, request.run, request.round, notices, number):
        return None
    return StartingModel(run=request.run, round=request.round, model_sha256=request.model_sha256)


def _built(plan: Plan) -> tuple[object, ...]:
    """What has to be the same of a run and of the one that it begins from."""
    return plan.architecture_sha256, plan.labels, plan.parameters


def _keys(notices: tuple[WithdrawalNotice, ...]) -> tuple[str, ...]:
    return tuple(sorted(known_withdrawal_key(each.party, each.recipe, each.number) for each in notices))
