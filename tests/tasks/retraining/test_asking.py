"""When a retraining begins, on a real store: events are held against the bucket, and two begin one."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fedmodels.drift_section import DriftSection
from fedmodels.errors import FedcartError, InputError, RunConflict
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.retraining import START_TIMEOUT
from infra.layout import closed_key, plan_key
from infra.settings import load_role_settings
from tasks.reading import read_plan
from tasks.retraining.asking import ask_for_retraining, read_reason
from tasks.retraining.notices import Released, new_sightings, note


@pytest.fixture
def told(telling):
    """Makes a recipe whose champion's run is over, and of which parties told."""

    def make(*parties, **drift):
        made = telling(**drift)
        close(made, made.run)
        made.notices = {party: made.tell(party) for party in parties}
        keys = load_role_settings(made.home, "coordinator").party_keys
        for sighting in new_sightings(made.store, keys, Released(made.store)):
            note(made.store, sighting.seen)
        return made

    return make


def close(made, run):
    closed = Closed(
        run=run, status="finished", model_sha256="0" * 64, rounds=1, final=None, seconds=1.0, reason="done"
    )
    made.store.create(closed_key(run), canonical_json(closed))


def reason(made, party="shop-a", **changes):
    event = {
        "party": party,
        "features": ["text"],
        "notice": made.notices.get(party, "k"),
        "scores": [],
        "rows": 3,
    }
    return read_reason({**event, **changes})


def ask(made, run="run-1", ticket="flow-run-1", why=None, unfinished=frozenset(), **more):
    return ask_for_retraining(
        made.store,
        made.recipe.name,
        ticket,
        f"{made.recipe.name}-again-{run}",
        why,
        unfinished=unfinished,
        **more,
    )


def plan(made, run, *, over=True):
    """Let a run of the recipe have begun now."""
    first = read_plan(made.store, made.run)
    made.store.create(plan_key(run), canonical_json(first.model_copy(update={"run": run})))
    if over:
        close(made, run)


def code_of(call, *arguments, **named) -> str:
    with pytest.raises(FedcartError) as caught:
        call(*arguments, **named)
    return caught.value.code


def test_a_valid_notice_is_enough_and_the_reason_is_kept(told):
    made = told("shop-a")
    request = ask(made, why=reason(made))
    assert (request.number, request.parties) == (1, ("shop-a",))
    assert request.reason == "drift at shop-a: text (told by shop-a)"
    assert request.champion_sha256 == made.model
    assert request.notices == (made.notices["shop-a"],)


def test_a_quorum_is_waited_for(told):
    alone = told("shop-a", quorum=2)
    assert code_of(ask, alone, why=reason(alone)) == "drift-quorum"
    both = told("shop-a", "shop-b", quorum=2)
    assert ask(both, why=reason(both)).parties == ("shop-a", "shop-b")
    alone_twice = told("shop-a", quorum=2)
    alone_twice.tell("shop-a")
    assert code_of(ask, alone_twice) == "drift-quorum", "one party counts once"


@pytest.mark.parametrize(
    "change", [{"notice": "parties/shop-a/drift/x/y.json"}, {"party": "shop-b"}, {"party": "evil"}]
)
def test_an_event_of_no_valid_notice_begins_nothing(told, change):
    made = told("shop-a")
    assert code_of(ask, made, why=reason(made, **change)) == "drift-event-unknown"
    assert ask(made).number == 1, "nothing had been begun"


def test_an_event_without_its_words_is_refused(told):
    made = told("shop-a")
    with pytest.raises(InputError, match="does not name party, features and notice") as caught:
        reason(made, party="No Id")
    assert caught.value.code == "drift-event-invalid"
    assert read_reason(None) is None


def test_whoever_is_started_again_finds_what_it_began(told):
    made = told("shop-a")
    begun = ask(made, why=reason(made))
    assert ask(made, run="run-2", why=reason(made)) == begun
    assert code_of(ask, made, run="run-2", ticket="flow-run-2") == "drift-run-open"


def test_of_events_at_once_one_begins_a_run(told):
    made = told("shop-a", "shop-b")

    def try_asking(number):
        try:
            return ask(made, run=f"run-{number}", ticket=f"flow-run-{number}").number
        except FedcartError as error:
            return error.code

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(try_asking, range(4)))
    assert sorted(map(str, found)) == ["1", "drift-run-open", "drift-run-open", "drift-run-open"]


def test_an_open_run_is_waited_for(told):
    made = told("shop-a")
    nightly = f"{made.run}-nightly"
    plan(made, nightly, over=False)
    assert code_of(ask, made, unfinished=frozenset({nightly})) == "drift-run-open"
    assert code_of(ask, made) == "drift-run-stopped", "nobody conducts it any more"
    close(made, nightly)
    assert ask(made).number == 1


def test_trainings_every_night_leave_every_hour_to_drift(telling, told, later):
    """With the recipe's own defaults: a cool-down of a day, which no training at night may start."""
    shipped = DriftSection()
    made = told("shop-a", cool_down=shipped.cool_down, max_notice_age=shipped.max_notice_age)
    plan(made, f"{made.run}-nightly")
    assert ask(made, why=reason(made)).number == 1, "the champion, and a run of last night, are seconds old"


def test_the_cool_down_counts_from_the_last_retraining(told, later):
    made = told("shop-a", cool_down=1000.0, max_notice_age=1e6)
    plan(made, ask(made).run)
    assert code_of(ask, made, ticket="other") == "drift-cool-down"
    later(900)
    assert code_of(ask, made, ticket="other") == "drift-cool-down"
    later(1100)
    assert ask(made, run="run-2", ticket="other").number == 2


def test_a_notice_is_answered_once(told, later):
    made = told("shop-a", "shop-b", max_notice_age=1e6)
    begun = ask(made, why=reason(made))
    for party in ("shop-a", "shop-b"):
        assert code_of(ask, made, ticket="other", why=reason(made, party)) == "drift-answered"
    later(START_TIMEOUT + 10)
    assert ask(made, run="run-2", ticket="other", why=reason(made)).number == 2, "the first one never began"
    plan(made, begun.run)
    assert code_of(ask, made, ticket="third", why=reason(made)) == "drift-answered"


def test_what_comes_too_late_is_no_fault(told, later):
    made = told("shop-a", max_notice_age=1000.0)
    why = reason(made)
    later(1100)
    assert code_of(ask, made, why=why) == "drift-notice-late"
    later(0)
    made.release()
    assert code_of(ask, made, why=why) == "drift-notice-outdated"
    assert code_of(ask, made, why=reason(made, notice="k")) == "drift-event-unknown"


def test_a_retraining_that_never_began_holds_up_nobody_for_long(told, later):
    made = told("shop-a", max_notice_age=1e6)
    ask(made)
    assert code_of(ask, made, ticket="other") == "drift-run-open"
    later(START_TIMEOUT + 10)
    again = {"run": "run-2", "ticket": "other"}
    waiting = frozenset({f"{made.recipe.name}-again-run-1"})
    assert code_of(ask, made, unfinished=waiting, **again) == "drift-run-open", "for a free worker, for hours"
    assert ask(made, **again).number == 2


def test_a_training_that_somebody_started_and_that_waits_at_prefect_is_waited_for(told):
    made = told("shop-a")
    assert code_of(ask, made, unfinished=frozenset({"by-hand"})) == "drift-run-open"
    assert ask(made, unfinished=frozenset({made.run})).number == 1, "the bucket says that this one is over"


def test_a_budget_is_asked(told):
    class Spent:
        def forbids(self, plan):
            return f"{plan.run} spent it all"

    made = told("shop-a")
    assert code_of(ask, made, budget=Spent()) == "drift-budget"


def test_without_a_champion_there_is_nothing_to_train_again(told):
    made = told()
    assert (
        code_of(ask_for_retraining, made.store, "nowhere", "t", "r", None, unfinished=frozenset())
        == "drift-no-champion"
    )
    assert code_of(ask, made) == "drift-quorum"


def test_plans_of_another_version_are_passed_over(told):
    made = told("shop-a")
    made.store.create(plan_key(f"{made.recipe.name}-odd"), b"not json at all")
    assert ask(made).number == 1


def test_without_new_labelled_rows_there_is_nothing_to_learn(told):
    made = told()
    keys = load_role_settings(made.home, "coordinator").party_keys

    def tell(party, rows):
        made.tell(party, new_labelled=rows)
        for sighting in new_sightings(made.store, keys, Released(made.store)):
            note(made.store, sighting.seen)

    tell("shop-a", 40)
    assert code_of(ask, made) == "drift-nothing-new"
    tell("shop-b", 59)
    with pytest.raises(RunConflict, match="have 99 labelled rows that the champion has not met"):
        ask(made)
    tell("shop-b", 60)
    assert ask(made).parties == ("shop-a", "shop-b")
