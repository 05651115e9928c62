"""Asking for a retraining: hold what stands in the bucket against the rules, take a number. No Prefect."""

from collections.abc import Set
from typing import Any

from pydantic import ValidationError

from fedmodels.errors import InputError, RunConflict
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.drift import SeenNotice
from fedmodels.protocol.messages import Plan
from fedmodels.protocol.releases import Champion
from fedmodels.protocol.retraining import (
    Facts,
    NoBudget,
    PrivacyBudget,
    RetrainingReason,
    RetrainingRequest,
    ValidNotice,
    check_retraining,
    reason_in_words,
)
from infra.layout import retraining_key, seen_notice_key
from infra.object_store import ObjectStore
from tasks.exchange import create_message, read_message
from tasks.reading import read_plan
from tasks.release.reading import read_champion
from tasks.retraining.notices import Notes
from tasks.retraining.standing import Retrainings, open_runs, read_retrainings

NO_BUDGET = NoBudget()


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
    *,
    unfinished: Set[str],
    budget: PrivacyBudget = NO_BUDGET,
) -> RetrainingRequest:
    """Take a number for a retraining, or find the one that this ticket took before.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        ticket: id of whoever asks, the same when it is started again.
        run: id of the run that would train.
        reason: what the event says.
        unfinished: runs of the recipe whose training Prefect has not seen end.
        budget: the privacy budget's word on one more run.

    Raises:
        InputError: `drift-no-champion`, or `drift-event-unknown`: the event is of no notice that was found
            valid.
        RunConflict: as `check_event` and `check_retraining`.
    """
    while True:
        # The numbers come first: whoever begins after this look takes the one that would be taken here.
        known = read_retrainings(store, recipe, unfinished)
        if begun := known.of(ticket):
            return begun
        champion, plan = champion_of(store, recipe)
        valid = heard(Notes(store), plan, champion)
        if reason is not None:
            check_event(store, plan, champion, reason, known)
        facts = gather(store, plan, valid, known, unfinished, budget)
        check_retraining(plan.recipe.drift, facts)
        request = RetrainingRequest(
            recipe=recipe,
            number=known.next_number,
            ticket=ticket,
            run=run,
            champion_sha256=champion.model_sha256,
            parties=tuple(sorted(facts.noticed)),
            notices=tuple(sorted(each.seen.key for each in valid)),
            drifts=tuple(sorted({each.seen.drift for each in valid if each.seen.drift})),
            reason=reason_in_words(reason, sorted(facts.noticed)),
        )
        if create_message(store, retraining_key(recipe, request.number), request) == request:
            return request


def heard(notes: Notes, plan: Plan, champion: Champion) -> tuple[ValidNotice, ...]:
    """Valid notices about the champion that are young enough, of parties that have a part in its recipe."""
    valid = notes.valid(plan.recipe.name, champion.model_sha256, plan.recipe.drift.max_notice_age)
    return tuple(each for each in valid if each.seen.party in plan.parties)


def gather(
    store: ObjectStore,
    plan: Plan,
    valid: tuple[ValidNotice, ...],
    known: Retrainings,
    unfinished: Set[str],
    budget: PrivacyBudget = NO_BUDGET,
) -> Facts:
    """What the rules look at."""
    recipe = plan.recipe.name
    return Facts(
        recipe,
        frozenset(each.seen.party for each in valid),
        open_runs(store, recipe, known, unfinished),
        known.latest,
        new_rows(valid),
        budget.forbids(plan),
    )


def new_rows(valid: tuple[ValidNotice, ...]) -> int | None:
    """Labelled rows that the champion has not met, of all parties: of each the most that it told.

    `None` when a party's notices do not tell.
    """
    most: dict[str, int | None] = {each.seen.party: None for each in valid}
    for seen in (each.seen for each in valid):
        if seen.new_labelled is not None:
            most[seen.party] = max(most[seen.party] or 0, seen.new_labelled)
    known = [rows for rows in most.values() if rows is not None]
    return sum(known) if len(known) == len(most) else None


def check_event(
    store: ObjectStore, plan: Plan, champion: Champion, reason: RetrainingReason, known: Retrainings
) -> None:
    """Hold an event against what the watch noted of the notice that it names: anybody can emit one.

    Raises:
        InputError: `drift-event-unknown`: there is no such notice of that party, or it is not valid.
        RunConflict: nothing is wrong, but it comes too late: the champion has changed since
            (`drift-notice-outdated`), the notice has become too old (`drift-notice-late`), or a retraining
            has answered it (`drift-answered`).
    """
    recipe, section = plan.recipe.name, plan.recipe.drift
    key = seen_notice_key(reason.party, sha256_hex(reason.notice.encode()))
    seen = read_message(store, key, SeenNotice)
    if (
        seen is None
        or not seen.valid
        or (seen.key, seen.party, seen.recipe) != (reason.notice, reason.party, recipe)
        or seen.party not in plan.parties
    ):
        raise InputError(
            f"The event tells of drift of {recipe} at {reason.party}, of which there is no valid notice",
            fix="see the log of drift-watch",
            code="drift-event-unknown",
        )
    what = f"The notice of drift of {recipe} at {reason.party}"
    if seen.model_sha256 != champion.model_sha256:
        raise RunConflict(
            f"{what} speaks of a model that is the champion no longer",
            fix="do nothing: the party's next check is about the new champion",
            code="drift-notice-outdated",
        )
    age = seen.age + (store.age(key) or 0.0)
    if age > section.max_notice_age:
        raise RunConflict(
            f"{what} is {age:.0f} s old, above drift.max_notice_age ({section.max_notice_age:g} s)",
            fix="do nothing: the party tells again when its data still differ",
            code="drift-notice-late",
        )
    if known.answer(seen):
        raise RunConflict(
            f"{what} has been answered by a retraining",
            fix="do nothing: the party tells again when newer rows differ from the champion's",
            code="drift-answered",
        )


def champions_plan(store: ObjectStore, recipe: str) -> Plan:
    """The plan of the champion's run: a retraining trains what it says.

    Raises:
        InputError: `drift-no-champion`.
    """
    return champion_of(store, recipe)[1]


def champion_of(store: ObjectStore, recipe: str) -> tuple[Champion, Plan]:
    """The champion, and the plan of its run.

    Raises:
        InputError: `drift-no-champion`.
    """
    champion = read_champion(store, recipe)
    if champion is None:
        raise InputError(
            f"The recipe {recipe} has no champion that could be trained again",
            fix="train and release a model first",
            code="drift-no-champion",
        )
    return champion, read_plan(store, champion.run)
