"""Notices in a real store: what is the party's own word becomes one event, everything else a code."""

import logging
from types import SimpleNamespace

import pytest
from prefect.events import Event

from fedmodels.errors import PrefectAway
from fedmodels.protocol.drift import NOTICE_LIMIT
from infra.deployments.drift_automation import EVENT
from infra.layout import drift_prefix, seen_notices_prefix
from infra.settings import load_role_settings
from tasks.retraining import notices, watching
from tasks.retraining.notices import valid_notices
from tasks.retraining.watching import look_for_notices
from tests.store_alone import store_of


@pytest.fixture
def watch(home, monkeypatch):
    """One look; returns what was noted, and keeps the events that were emitted."""
    store = store_of(home, "coordinator")
    log = logging.getLogger("watch")
    monkeypatch.setattr(watching, "get_run_logger", lambda: log)
    monkeypatch.setattr(watching, "server_answers", lambda: True)
    emitted = []

    def emit(**facts):
        emitted.append(Event(occurred="2026-01-01T00:00:00Z", **facts))
        return emitted[-1]

    monkeypatch.setattr(watching, "emit_event", emit)

    def look(keys=None):
        known = load_role_settings(home, "coordinator").party_keys if keys is None else keys
        return look_for_notices.fn(SimpleNamespace(store=store, party_keys=known))

    look()
    emitted.clear()
    look.emitted = emitted
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
    assert watch() == ()
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


def test_while_the_server_is_away_nothing_is_noted(telling, watch, monkeypatch):
    made = telling()
    made.tell("shop-a")
    monkeypatch.setattr(watching, "server_answers", lambda: False)
    with pytest.raises(PrefectAway):
        watch()
    monkeypatch.setattr(watching, "server_answers", lambda: True)
    assert len(watch()) == 1
    assert len(watch.emitted) == 1


def test_a_watch_that_died_before_it_noted_emits_the_same_event_again(telling, watch, monkeypatch):
    telling().tell("shop-a")
    monkeypatch.setattr(watching, "note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        watch()
    monkeypatch.setattr(watching, "note", notices.note)
    watch()
    assert len({event.id for event in watch.emitted}) == 1


def test_what_counts_later_is_young_valid_and_about_the_champion(telling, watch, later):
    made = telling()
    key = made.tell("shop-a")
    made.tell("shop-b", signed_by="shop-a")
    watch()
    asked = made.store, made.recipe.name, made.model
    assert [seen.key for seen in valid_notices(*asked, 100.0)] == [key]
    assert valid_notices(made.store, "other", made.model, 100.0) == ()
    assert valid_notices(made.store, made.recipe.name, "0" * 64, 100.0) == ()
    later(150)
    assert valid_notices(*asked, 100.0) == ()
    assert list(made.store.list_keys(seen_notices_prefix("shop-a")))
