"""Notices in a real store: what is the party's own word becomes one event, everything else a code."""

import logging
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prefect.events import Event

from fedmodels.errors import IntegrityError, PrefectAway
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.drift import NOTICE_LIMIT
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.retraining import START_TIMEOUT, TELL_AGAIN, RetrainingRequest
from fedmodels.protocol.withdrawal import WithdrawnMark
from flows import drift_watch
from infra.deployments.drift_automation import EVENT
from infra.deployments.observing import GoingRetraining
from infra.keys import load_private_key
from infra.layout import (
    champion_key,
    closed_key,
    drift_prefix,
    plan_key,
    retraining_key,
    seen_notice_key,
    seen_notices_prefix,
    told_key,
)
from infra.settings import load_role_settings
from tasks.exchange import create_signed
from tasks.reading import read_plan
from tasks.release.answering import approve, reject
from tasks.release.marks import mark_key
from tasks.release.requesting import open_release
from tasks.retraining import notices, told, watching, withdrawing
from tasks.retraining.notices import Notes
from tasks.retraining.watching import WatchDesk, note_notices, tell_of_drift
from tasks.retraining.withdrawing import answer_withdrawals
from tests.store_alone import store_of
from tests.tasks.release.released_models import reported


@pytest.fixture
def watch(home, monkeypatch):
    """One look; returns what was noted, and keeps the events that were emitted."""
    store = store_of(home, "coordinator")
    log = logging.getLogger("watch")
    for module in (watching, told, withdrawing):
        monkeypatch.setattr(module, "get_run_logger", lambda: log)
    shown = {}
    monkeypatch.setattr(watching, "show_held_up", lambda recipe, *what: shown.update({recipe: what}))
    monkeypatch.setattr(watching, "server_answers", lambda: True)
    emitted = []

    def emit(**facts):
        emitted.append(Event(occurred="2026-01-01T00:00:00Z", **facts))
        return emitted[-1]

    monkeypatch.setattr(watching, "emit_event", emit)
    living: set[str] = set()
    monkeypatch.setattr(watching, "unfinished_trainings", lambda _recipe: frozenset(living))
    retraining: set[GoingRetraining] = set()
    monkeypatch.setattr(watching, "unfinished_retrainings", lambda: tuple(retraining))

    def look(keys=None):
        desk = WatchDesk.__new__(WatchDesk)
        desk.store = store
        desk.party_keys = load_role_settings(home, "coordinator").party_keys if keys is None else keys
        noted = note_notices.fn(desk)
        look.told = tell_of_drift.fn(desk).notices
        return noted

    def flow():
        """The flow over the same two steps."""
        desk = WatchDesk.__new__(WatchDesk)
        own = load_role_settings(home, "coordinator")
        desk.store, desk.party_keys = store, own.party_keys
        desk.signing_key = load_private_key(own.signing_key)
        monkeypatch.setattr(drift_watch, "answer_withdrawals", answer_withdrawals.fn)
        monkeypatch.setattr(drift_watch, "load_settings", lambda: None)
        monkeypatch.setattr(drift_watch, "WatchDesk", lambda _settings: desk)
        monkeypatch.setattr(drift_watch, "note_notices", note_notices.fn)
        monkeypatch.setattr(drift_watch, "tell_of_drift", tell_of_drift.fn)
        return drift_watch.drift_watch.fn()

    look.flow = flow
    look()
    emitted.clear()
    look.emitted, look.retraining, look.living, look.shown = emitted, retraining, living, shown
    return look


def test_a_valid_notice_becomes_one_event(telling, watch):
    made = telling()
    key = made.tell("shop-a", features=("text", "embedding"))
    (seen,) = watch()
    assert (seen.key, seen.party, seen.recipe, seen.valid) == (key, "shop-a", made.recipe.name, True)
    (event,) = watch.emitted
    assert event.event == EVENT
    assert event.resource.id == f"fedcart.recipe.{made.recipe.name}"
    assert event.related[0].id == "fedcart.party.shop-a"
    payload = event.payload
    assert (payload["party"], payload["features"], payload["notice"]) == (
        "shop-a",
        ["embedding", "text"],
        key,
    )
    assert payload["scores"][0] == {
        "feature": "text",
        "measure": "psi",
        "effect": 0.4,
        "bound": 0.2,
        "p_value": 0.001,
    }
    assert watch.told == (seen,)
    assert (watch(), watch.told) == ((), ())
    assert len(watch.emitted) == 1


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"signed_by": "shop-b"}, "drift-signature"),
        ({"below": "shop-b"}, "drift-notice-misplaced"),
        ({"model_sha256": "e" * 64}, "drift-notice-outdated"),
        ({"recipe": "nobody-released-it"}, "drift-notice-outdated"),
    ],
)
def test_what_is_not_the_partys_word_on_the_champion_is_refused_once(telling, watch, told, code, caplog):
    telling().tell("shop-a", **told)
    with caplog.at_level(logging.WARNING):
        (seen,) = watch()
    assert seen.code == code
    assert code in caplog.text
    assert watch.emitted == []
    assert watch() == ()


def test_a_notice_of_a_party_that_nobody_knows_is_refused(telling, watch):
    made = telling()
    made.tell("shop-b")
    key = load_role_settings(made.home, "coordinator").party_keys["shop-a"]
    (seen,) = watch({"shop-a": key})
    assert (seen.party, seen.code) == ("shop-b", "drift-party-unknown")
    assert watch.emitted == []


def test_garbage_of_any_size_and_name_is_refused_and_read_within_bounds(telling, watch, monkeypatch):
    made = telling()
    mine = store_of(made.home, "shop-a")
    for name, data in {
        "x.json": b"{}",
        f"{made.recipe.name}/{'0' * 64}.json": b"x" * (NOTICE_LIMIT * 4),
    }.items():
        mine.create(f"{drift_prefix('shop-a')}{name}", data)
    sizes = []
    read = notices.read_bytes_from_party
    monkeypatch.setattr(
        notices, "read_bytes_from_party", lambda *asked: sizes.append(len(read(*asked))) or read(*asked)
    )
    assert {seen.code for seen in watch()} == {"drift-notice-invalid"}
    assert max(sizes) == NOTICE_LIMIT + 1


def test_an_old_notice_is_late(telling, watch, later):
    made = telling(max_notice_age=100.0)
    made.tell("shop-a")
    later(150)
    (seen,) = watch()
    assert seen.code == "drift-notice-late"


def test_a_flood_of_a_party_holds_up_nobody_else(telling, watch, monkeypatch):
    monkeypatch.setattr(notices, "MOST_NEW", 2)
    made = telling()
    for _ in range(3):
        made.tell("shop-a")
    made.tell("shop-b")
    assert [seen.party for seen in watch()] == ["shop-a", "shop-a", "shop-b"]
    assert [seen.party for seen in watch()] == ["shop-a"]


def test_many_notices_of_a_party_are_one_event(telling, watch):
    one, other = telling(), telling()
    for _ in range(3):
        one.tell("shop-a")
    one.tell("shop-b")
    other.tell("shop-a")
    assert len(watch()) == 5
    assert [(event.payload["recipe"], event.payload["party"]) for event in watch.emitted] == sorted(
        [(one.recipe.name, "shop-a"), (one.recipe.name, "shop-b"), (other.recipe.name, "shop-a")]
    )


def test_of_a_party_that_floods_the_bucket_the_youngest_notes_of_a_recipe_count(telling, watch, monkeypatch):
    made, beside = telling(), telling()
    elsewhere, mine, other = beside.tell("shop-a"), made.tell("shop-a"), made.tell("shop-b")
    watch()
    assert set(heard(made, 100.0)) == {mine, other}
    standing = notices.list_objects
    before = {each.key for each in standing(made.store, seen_notices_prefix())}
    monkeypatch.setattr(
        notices,
        "list_objects",
        lambda *asked: [
            replace(each, age=each.age + 10.0 * (each.key in before)) for each in standing(*asked)
        ],
    )
    monkeypatch.setattr(notices, "MOST_READ", 2)
    flood = {made.tell("shop-a") for _ in range(2)}
    watch()
    assert set(heard(made, 100.0)) == {*flood, other}, "of shop-a those that came later count"
    assert heard(beside, 100.0) == [elsewhere], "and of another recipe its own"


def test_a_note_whose_notice_was_taken_back_counts_beside_those_of_every_recipe(telling, watch):
    made = telling()
    taken, standing = made.tell("shop-a"), made.tell("shop-a")
    watch()
    store_of(made.home, "shop-a").delete(taken)
    assert set(heard(made, 100.0)) == {taken, standing}


def test_while_the_server_is_away_nothing_is_told_and_nothing_is_lost(telling, watch, monkeypatch):
    made = telling()
    made.tell("shop-a")
    monkeypatch.setattr(watching, "server_answers", lambda: False)
    with pytest.raises(PrefectAway):
        watch()
    monkeypatch.setattr(watching, "server_answers", lambda: True)
    watch()
    assert len(watch.emitted) == 1


@pytest.mark.parametrize("step", ["tell", "remember"])
def test_a_watch_that_died_after_it_noted_leaves_the_event_to_the_next_one(telling, watch, monkeypatch, step):
    telling().tell("shop-a")
    standing = getattr(watching, step)
    monkeypatch.setattr(watching, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        watch()
    emitted = len(watch.emitted)
    monkeypatch.setattr(watching, step, standing)
    assert watch() == ()
    assert len(watch.emitted) == emitted + 1
    assert len({event.id for event in watch.emitted}) == len(watch.emitted), "Prefect drops a known id"


@pytest.fixture
def over(telling):
    """A recipe whose champion's run is over, so that a retraining may begin."""
    made = telling(max_notice_age=1e6)
    close(made, made.run)
    return made


def close(made, run, status="finished"):
    closed = Closed(
        run=run, status=status, model_sha256="0" * 64, rounds=1, final=None, seconds=1.0, reason="done"
    )
    made.store.create(closed_key(run), canonical_json(closed))


def begin(made, number, *answered, drifts=()):
    """Let a retraining take its number; return its run."""
    request = RetrainingRequest(
        recipe=made.recipe.name,
        number=number,
        ticket="t",
        run=f"{made.recipe.name}-again-{number}",
        champion_sha256=made.model,
        parties=("shop-a",),
        notices=answered,
        drifts=drifts,
        reason="drift",
    )
    made.store.create(retraining_key(made.recipe.name, number), canonical_json(request))
    return request.run


def told_by(watch, made):
    """Keys of the notices of the recipe that were told since the last time."""
    watch()
    return [seen.key for seen in watch.told if seen.recipe == made.recipe.name]


def test_an_event_that_is_lost_is_told_again_until_a_retraining_answers_it(over, watch, later):
    key = over.tell("shop-a")
    assert told_by(watch, over) == [key]
    later(TELL_AGAIN / 2)
    assert told_by(watch, over) == []
    later(TELL_AGAIN + 10)
    assert told_by(watch, over) == [key]
    ours = [event.id for event in watch.emitted if event.payload["notice"] == key]
    assert len(set(ours)) == len(ours) == 2
    begin(over, 1, key)
    later(START_TIMEOUT - 10)
    assert told_by(watch, over) == []
    later(START_TIMEOUT + 10)
    assert told_by(watch, over) == [key], "that retraining never began"


def test_a_notice_that_a_rule_held_up_is_told_once_it_no_longer_does(telling, watch, later):
    made = telling(max_notice_age=1e6)  # the champion's run is open
    key = made.tell("shop-a")
    assert told_by(watch, made) == [key], "the event is a fact; the retraining says why it does not begin"
    later(TELL_AGAIN + 10)
    assert told_by(watch, made) == []
    close(made, made.run)
    assert told_by(watch, made) == [key]


@pytest.mark.parametrize("status", ["finished", "failed", "cancelled"])
def test_a_renewed_notice_is_the_same_drift_until_its_answer_fails(over, watch, later, status):
    window = {"window": "c" * 64}
    first = over.tell("shop-a", **window, mark="1" * 32)
    assert told_by(watch, over) == [first]
    second = over.tell("shop-a", **window, mark="2" * 32)
    assert second != first
    assert told_by(watch, over) == [], "no news"
    drifts = [each.seen.drift for each in Notes(over.store).valid(over.recipe.name, over.model, 1e6)]
    assert len(drifts) == 2
    run = begin(over, 1, first, drifts=tuple(set(drifts)))
    plan = read_plan(over.store, over.run).model_copy(update={"run": run})
    over.store.create(plan_key(run), canonical_json(plan))
    close(over, run, status)
    third = over.tell("shop-a", **window, mark="3" * 32)
    later(TELL_AGAIN + 10)
    if status != "finished":
        (again,) = told_by(watch, over)
        assert again in (first, second, third), "they say the same"
        return
    assert told_by(watch, over) == []
    other = over.tell("shop-a", mark="4" * 32)
    assert told_by(watch, over) == [other], "newer rows are news, whatever was answered"


def test_while_a_retraining_runs_or_waits_nothing_is_told_and_all_that_remains_afterwards(over, watch):
    watch.retraining.add(GoingRetraining("flow-run-1", over.recipe.name, suspended=False))
    first, other = over.tell("shop-a"), over.tell("shop-b")
    assert told_by(watch, over) == []
    begin(over, 1, first)
    watch.retraining.clear()
    assert told_by(watch, over) == [other]


def mark(store, recipe, release, _by) -> None:
    """Its model learned from what was withdrawn: nothing can promote it any more."""
    made = WithdrawnMark(
        recipe=recipe,
        release=release,
        run=f"{recipe}-again",
        party="shop-a",
        number=1,
        notice_sha256="a" * 64,
        leaves=False,
        from_round=1,
    )
    create_signed(store, mark_key(made), made, Ed25519PrivateKey.generate())


@pytest.mark.parametrize("answer", [approve, reject, mark])
def test_a_suspended_retraining_whose_release_is_answered_or_withdrawn_holds_up_nothing(over, watch, answer):
    """From the command line the bucket is told, and the flow run stays suspended until the deadline."""
    name, key = over.recipe.name, over.tell("shop-a")
    watch.retraining.add(GoingRetraining("flow-run-1", name, suspended=True))
    assert told_by(watch, over) == [], "it has asked for no release yet"
    request = open_release(
        over.store, name, "flow-run-1", run=f"{name}-again", round_number=1, model_sha256="d" * 64
    )
    assert told_by(watch, over) == [], "its checks are being made"
    reported(over.store, request, approval="person", deadline=1000.0)
    assert told_by(watch, over) == [], "it waits for a person"
    answer(over.store, name, request.release, "ann")
    assert told_by(watch, over) == [key]


def test_a_new_notice_is_told_at_once_and_the_answered_one_no_more(over, watch, later):
    first = over.tell("shop-a")
    assert told_by(watch, over) == [first]
    begin(over, 1, first)
    second = over.tell("shop-a")
    assert told_by(watch, over) == [second]


def test_what_is_damaged_of_one_recipe_holds_up_no_other(over, telling, watch):
    broken = telling()
    over.tell("shop-a")
    broken.tell("shop-a")
    broken.store.create(retraining_key(broken.recipe.name, 1), b"{}")
    for _ in range(2):
        with pytest.raises(IntegrityError, match=f"retrainings/{broken.recipe.name}/"):
            watch()
    assert [event.payload["recipe"] for event in watch.emitted] == [over.recipe.name]
    broken.store.delete(retraining_key(broken.recipe.name, 1))


@pytest.mark.parametrize("damage", ["champion damaged", "plan damaged", "plan gone"])
def test_a_champion_that_cannot_be_read_holds_up_no_other_recipe(telling, watch, monkeypatch, damage):
    """Not even at a party whose first new notices are all of the damaged one."""
    monkeypatch.setattr(notices, "MOST_NEW", 1)
    broken, sound = sorted((telling(), telling()), key=lambda made: made.recipe.name)
    name, key = broken.recipe.name, plan_key(broken.run)
    if damage.startswith("champion"):
        key = champion_key(name)
    data = broken.store.read(key)
    broken.tell("shop-a")
    told = [sound.tell("shop-a"), sound.tell("shop-b")]
    late = broken.tell("shop-a")
    broken.store.delete(key)
    if damage.endswith("damaged"):
        broken.store.put_blob(key, b"{}")
    outcome = watch.flow()
    assert outcome.is_failed()
    assert name in outcome.message
    assert [event.payload["notice"] for event in watch.emitted] == told
    broken.store.delete(key)
    broken.store.put_blob(key, data)
    watch()
    watch()
    assert late in heard(broken, 1e6)


def note_of(key):
    """Where the coordinator notes a notice."""
    return seen_notice_key(key.split("/")[1], sha256_hex(key.encode()))


def damage(store, key, data=b"{}"):
    store.delete(key)
    store.put_blob(key, data)


def test_a_damaged_note_is_named_and_holds_up_no_other_party_or_recipe(over, telling, watch, caplog):
    other = telling(max_notice_age=1e6)
    broken = over.tell("shop-a")
    watch()
    damage(over.store, note_of(broken))
    sound = [over.tell("shop-b"), other.tell("shop-a")]
    with caplog.at_level(logging.WARNING):
        outcome = watch.flow()
    assert outcome.is_failed()
    assert outcome.message == (
        f"drift-note-damaged: The coordinator's note {note_of(broken)} on a notice of drift of "
        f"{over.recipe.name} at shop-a is damaged and counts for nothing; remove that object, and the next "
        "watch judges the notice anew."
    )
    assert outcome.message in caplog.text
    assert sorted(event.payload["notice"] for event in watch.emitted) == sorted([broken, *sound])
    over.store.delete(note_of(broken))
    assert [seen.key for seen in watch()] == [broken]
    assert broken in heard(over, 1e6)


def test_a_damaged_note_on_a_notice_that_is_gone_says_that_nothing_is_lost(over, watch):
    key = over.tell("shop-a")
    watch()
    damage(over.store, note_of(key))
    store_of(over.home, "shop-a").delete(key)
    with pytest.raises(IntegrityError, match=r"is there no more, .* with which nothing is lost"):
        watch()
    over.store.delete(note_of(key))
    assert watch() == ()


def test_a_damaged_record_of_what_was_told_is_removed_and_the_drift_told_again(over, watch, caplog):
    key = over.tell("shop-a")
    assert told_by(watch, over) == [key]
    damage(over.store, told_key(over.recipe.name, "shop-a"))
    with caplog.at_level(logging.WARNING):
        assert told_by(watch, over) == [key]
    assert told_key(over.recipe.name, "shop-a") in caplog.text
    assert told_by(watch, over) == []


@pytest.fixture
def stopped(over, watch):
    """A recipe with an open run beside its champion, whose coordinator is gone after drift was told."""
    watch.living.add("last-night")
    first = read_plan(over.store, over.run)
    over.store.create(plan_key("last-night"), canonical_json(first.model_copy(update={"run": "last-night"})))
    over.key = over.tell("shop-a")
    assert told_by(watch, over) == [over.key]
    assert watch.shown[over.recipe.name][0] is None
    watch.living.clear()
    yield over
    for key in (plan_key("last-night"), closed_key("last-night")):
        over.store.delete(key)


def test_drift_beside_a_run_that_stopped_is_told_once_more_and_shown_until_a_person_acts(
    stopped, watch, later
):
    assert told_by(watch, stopped) == [stopped.key], "the retraining now fails with what is to be done"
    later(TELL_AGAIN + 10)
    assert told_by(watch, stopped) == []
    state = watch.flow()
    assert (state.name, state.is_completed()) == ("HeldUp", True)
    assert "fedcart train --resume last-night, or end it with fedcart runs cancel last-night" in state.message
    assert watch.shown[stopped.recipe.name] == ("last-night", ("shop-a",))


@pytest.mark.parametrize("act", ["cancelled", "resumed"])
def test_once_the_run_is_cancelled_or_went_on_and_ended_its_drift_is_told_again(stopped, watch, later, act):
    watch()
    if act == "resumed":
        watch.living.add("last-night")
        later(TELL_AGAIN + 10)
        assert told_by(watch, stopped) == []
        assert watch.shown[stopped.recipe.name][0] is None
        later(0)
        watch.living.clear()
    close(stopped, "last-night", "finished" if act == "resumed" else act)
    later(TELL_AGAIN + 10)
    assert told_by(watch, stopped) == [stopped.key]
    assert watch.shown[stopped.recipe.name][0] is None


def test_a_retraining_whose_own_run_stopped_is_shown_as_well(over, watch):
    key = over.tell("shop-a")
    watch()
    run = begin(over, 1, key)
    first = read_plan(over.store, over.run)
    over.store.create(plan_key(run), canonical_json(first.model_copy(update={"run": run})))
    assert told_by(watch, over) == [], "the retraining itself has failed"
    assert watch.shown[over.recipe.name] == (run, ("shop-a",))


def test_a_notice_that_its_party_took_back_is_not_told_again(over, watch, later):
    key = over.tell("shop-a")
    watch()
    store_of(over.home, "shop-a").delete(key)
    later(TELL_AGAIN + 10)
    assert told_by(watch, over) == []


def heard(made, max_age):
    return [each.seen.key for each in Notes(made.store).valid(made.recipe.name, made.model, max_age)]


def test_what_counts_later_is_young_valid_and_about_the_champion(telling, watch, later):
    made = telling()
    key = made.tell("shop-a")
    made.tell("shop-b", signed_by="shop-a")
    watch()
    assert heard(made, 100.0) == [key]
    notes = Notes(made.store)
    assert notes.valid("other", made.model, 100.0) == ()
    assert notes.valid(made.recipe.name, "0" * 64, 100.0) == ()
    later(150)
    assert heard(made, 100.0) == []
    assert list(made.store.list_keys(seen_notices_prefix("shop-a")))
