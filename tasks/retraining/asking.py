"""Asking for a retraining: hold what stands in the bucket against the rules, take a number. No Prefect."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import ValidationError

from fedmodels.errors import InputError
from fedmodels.protocol.messages import Plan
from fedmodels.protocol.releases import Champion
from fedmodels.protocol.retraining import (
    START_TIMEOUT,
    Facts,
    RetrainingReason,
    RetrainingRequest,
    RunAge,
    check_retraining,
    reason_in_words,
)
from infra.layout import closed_key, plan_key, retraining_key, retrainings_prefix
from infra.object_store import ObjectStore
from tasks.exchange import create_message, read_message
from tasks.reading import list_runs, planned_run, read_plan
from tasks.release.reading import read_champion
from tasks.retraining.notices import valid_notices

READERS = 8


def read_reason(given: dict[str, Any] | None) -> RetrainingReason | None:
    """What an event, or a person, gave as the reason; further words of an event are passed over.

    Raises:
        InputError: `drift-event-invalid`: it names no party, features or notice as they have to be.
    """
    if not given:
        return None
    try:
        return RetrainingReason.model_validate(
            {name: given[name] for name in RetrainingReason.model_fields if name in given}
        )
    except ValidationError:
        raise InputError(
            "The reason for a retraining does not name party, features and notice as an event of drift does",
            fix="give none to ask by hand",
            code="drift-event-invalid",
        ) from None


def ask_for_retraining(
    store: ObjectStore,
    recipe: str,
    ticket: str,
    run: str,
    reason: RetrainingReason | None,
    budget: Callable[[Plan], str] = lambda _plan: "",
) -> RetrainingRequest:
    """Take a number for a retraining, or find the one that this ticket took before.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        ticket: id of whoever asks, the same when it is started again.
        run: id of the run that would train.
        reason: what the event says.
        budget: why the privacy budget allows no further run of a plan, as a clause; empty when it does.

    Raises:
        InputError: `drift-no-champion`, or `drift-event-unknown`: the event is of no valid notice.
        RunConflict: as `check_retraining`.
    """
    for number in _numbers(store, recipe):
        begun = read_message(store, retraining_key(recipe, number), RetrainingRequest)
        if begun is not None and begun.ticket == ticket:
            return begun
    champion = _champion(store, recipe)
    plan = read_plan(store, champion.run)
    while True:
        number = (_numbers(store, recipe) or [0])[
            -1
        ] + 1  # before the look: what comes after it takes this one
        facts = gather(store, plan, champion, reason, budget(plan))
        check_retraining(plan.recipe.drift, facts)
        request = RetrainingRequest(
            recipe=recipe,
            number=number,
            ticket=ticket,
            run=run,
            champion_sha256=champion.model_sha256,
            parties=tuple(sorted(facts.noticed)),
            reason=reason_in_words(reason, sorted(facts.noticed)),
        )
        if create_message(store, retraining_key(recipe, number), request) == request:
            return request


def gather(
    store: ObjectStore, plan: Plan, champion: Champion, reason: RetrainingReason | None, budget: str = ""
) -> Facts:
    """What the rules look at.

    Raises:
        InputError: `drift-event-unknown`: the reason is of a party that has no part in the recipe, or of a
            notice that was not found valid, is too old, or speaks of another model than the champion.
    """
    recipe, section = plan.recipe.name, plan.recipe.drift
    notices = valid_notices(store, recipe, champion.model_sha256, section.max_notice_age)
    known = {seen.key: seen.party for seen in notices if seen.party in plan.parties}
    if reason is not None and known.get(reason.notice) != reason.party:
        raise InputError(
            f"The event tells of drift of {recipe} at {reason.party}, of which there is no valid notice "
            "that is young enough and speaks of the champion",
            fix="see the log of drift-watch",
            code="drift-event-unknown",
        )
    return Facts(
        recipe, frozenset(known.values()), (*_runs(store, recipe), *_starting(store, recipe)), budget
    )


def champions_plan(store: ObjectStore, recipe: str) -> Plan:
    """The plan of the champion's run: a retraining trains what it says.

    Raises:
        InputError: `drift-no-champion`.
    """
    return read_plan(store, _champion(store, recipe).run)


def _champion(store: ObjectStore, recipe: str) -> Champion:
    champion = read_champion(store, recipe)
    if champion is None:
        raise InputError(
            f"The recipe {recipe} has no champion that could be trained again",
            fix="train and release a model first",
            code="drift-no-champion",
        )
    return champion


def _runs(store: ObjectStore, recipe: str) -> list[RunAge]:
    """Runs of the recipe, whatever version of fedcart wrote their plans."""

    def look(run: str) -> RunAge | None:
        planned = planned_run(store, run)
        if planned is None or planned.recipe != recipe:
            return None
        return RunAge(run, store.age(plan_key(run)) or 0.0, open=not store.exists(closed_key(run)))

    with ThreadPoolExecutor(READERS) as readers:
        return [found for found in readers.map(look, list_runs(store)) if found is not None]


def _starting(store: ObjectStore, recipe: str) -> list[RunAge]:
    """Retrainings that took a number a short while ago and whose run has no plan yet."""
    found = []
    for number in reversed(_numbers(store, recipe)):
        key = retraining_key(recipe, number)
        age = store.age(key)
        if age is None or age > START_TIMEOUT:
            break
        begun = read_message(store, key, RetrainingRequest)
        if begun is not None and not store.exists(plan_key(begun.run)):
            found.append(RunAge(begun.run, age, open=True))
    return found


def _numbers(store: ObjectStore, recipe: str) -> list[int]:
    names = (
        key.rpartition("/")[2].removesuffix(".json") for key in store.list_keys(retrainings_prefix(recipe))
    )
    return sorted(int(name) for name in names if name.isdecimal())
