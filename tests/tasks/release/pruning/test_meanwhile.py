"""A prune of the real store, and what comes between its look and its removal: nothing that is needed goes."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from fedmodels.errors import RunConflict, StoreRefused
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.pruning import parse_keep
from fedmodels.protocol.sweeping import Sweep, SweptObject
from infra.layout import (
    model_key,
    note_key,
    prunes_prefix,
)
from infra.object_store import ObjectStore
from tasks.release import pruning
from tasks.release.promoting import promote
from tasks.release.pruned import refuse_pruned, refuse_while_pruned
from tasks.release.pruning import prune
from tasks.release.steps import request_release
from tasks.sweeping import sweep
from tasks.verifying.run import verify_run
from tests.store_alone import store_of
from tests.tasks.release.pruning.bucket import DAY, NONE, another, blobs, gone, models_of, noted, requested
from tests.tasks.release.released_models import reported, undocumented


def at_note(monkeypatch, act):
    """Do something once the prune's note stands, before it looks again."""
    real = pruning.write_note

    def noted_then(*arguments):
        key = real(*arguments)
        act()
        return key

    monkeypatch.setattr(pruning, "write_note", noted_then)


def test_a_release_that_is_requested_meanwhile_keeps_its_run(runs, later, monkeypatch):
    asks, idle = runs(2)
    later(2 * DAY)
    at_note(monkeypatch, lambda: requested(asks))
    assert gone(prune(asks.store, NONE)) == models_of(idle)
    assert models_of(asks) <= blobs(asks.store)
    assert noted(asks.store) == models_of(idle), "what was spared is in no note any more"


def test_a_release_that_is_requested_after_that_look_is_refused(runs, later, monkeypatch):
    """Whoever asks sees the note, whether the model is gone already or about to go."""
    (run,) = runs(1)
    later(2 * DAY)
    removed, seen = pruning._remove, []

    def proposed_first(store, item, note):
        if not seen:
            with pytest.raises(RunConflict) as caught:
                request_release.fn(SimpleNamespace(store=store, run=run.run), "flow-run", "")
            seen.append(caught.value.code)
        return removed(store, item, note)

    monkeypatch.setattr(pruning, "_remove", proposed_first)
    assert gone(prune(run.store, NONE)) >= models_of(run)
    assert seen == ["prune-going"]
    with pytest.raises(RunConflict, match="fedcart reproduce") as caught:
        request_release.fn(SimpleNamespace(store=run.store, run=run.run), "flow-run", "")
    assert caught.value.code == "pruned"


def test_at_whatever_request_a_release_is_asked_for_it_gets_its_model_or_a_refusal(runs, home, later):
    """A prune sends some 90 requests; at one of them a proposal comes, from its first step to its last."""
    outcomes, requests = [], 0

    def asked(run):
        try:
            request_release.fn(SimpleNamespace(store=run.store, run=run.run), "flow-run", "")
        except RunConflict as error:
            return error.code
        return "accepted"

    def pruned_while(run, moment):
        """The requests of the prune, and what the proposal was told that came at one of them."""
        store, sent, told = store_of(home, "coordinator"), [], []

        def propose(**_):
            sent.append(None)
            if len(sent) == moment:
                told.append(asked(run))

        store.client.meta.events.register("before-send.s3", propose)
        prune(store, NONE)
        return len(sent), told

    for share in (0.0, 0.1, 0.3, 0.45, 0.5, 0.6, 0.75, 0.85, 0.9, 0.93, 0.96, 0.99):
        (run,) = runs(1)
        later(2 * DAY)
        requests, told = pruned_while(run, round(share * requests))
        outcomes += told
        there = models_of(run) <= blobs(run.store)
        assert told in ([], ["prune-going"], ["accepted" if there else "pruned"]), share
        assert asked(run) == ("accepted" if there else "pruned"), "once the prune is over"
        assert there or not models_of(run) & blobs(run.store), "all of a run's models, or none"
    assert set(outcomes) >= {"accepted", "prune-going"}
    assert set(outcomes) <= {"accepted", "prune-going", "pruned"}
    assert len(outcomes) == 11


def test_a_prune_that_died_hinders_no_release_for_longer_than_an_hour(runs, later, monkeypatch):
    (run,) = runs(1)
    later(2 * DAY)
    kill(monkeypatch, pruning, "_remove", 1)
    with pytest.raises(Killed):
        prune(run.store, NONE)
    model = run.head.best_model_sha256
    with pytest.raises(RunConflict) as caught:
        refuse_while_pruned(run.store, run.run, model)
    assert caught.value.code == "prune-going"
    later(3700)
    assert request_release.fn(SimpleNamespace(store=run.store, run=run.run), "flow-run", "").release == 1


def test_a_run_that_begins_with_the_same_model_meanwhile_keeps_it(runs, home, later, monkeypatch):
    """Its plan names the blob before the prune looks again; the put made it young, too."""
    (run,) = runs(1)
    later(2 * DAY)
    at_note(monkeypatch, lambda: another(home, run, "begins-now", seed=run.seed))
    prune(run.store, NONE)
    assert run.store.exists(model_key(run.plan.base_model_sha256))


def test_a_blob_that_is_put_again_right_before_it_goes_stays(runs, later, monkeypatch):
    (run,) = runs(1)
    later(2 * DAY)
    again, age = model_key(run.plan.base_model_sha256), ObjectStore.age
    monkeypatch.setattr(ObjectStore, "age", lambda self, key: 1.0 if key == again else age(self, key))
    assert again not in gone(prune(run.store, NONE))
    assert run.store.exists(again)
    assert again not in noted(run.store)


def test_a_prune_that_was_held_up_for_long_removes_nothing_more(runs, later, monkeypatch):
    """Nobody may believe its note any more."""
    (run,) = runs(1)
    later(2 * DAY)
    before = blobs(run.store)
    at_note(monkeypatch, lambda: later(1801))
    assert gone(prune(run.store, NONE)) == set()
    assert blobs(run.store) == before


def test_two_prunes_at_once(runs, later, tmp_path, recipe):
    made = runs(4)
    store = made[0].store
    released = requested(made[3])
    reported(store, released)
    promote(store, recipe, released.release, "ann", undocumented)
    later(2 * DAY)
    expected = {key for run in made[:3] for key in models_of(run)}
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda keep: prune(store, parse_keep(keep)), ["0", "0"]))
    assert gone(found[0]) | gone(found[1]) == expected
    assert blobs(store) & expected == set()
    assert models_of(made[3]) <= blobs(store)
    assert noted(store) == expected
    assert all(verify_run(store, run.run, tmp_path).passed for run in made)


class Killed(BaseException):
    """The process ends here."""


def kill(monkeypatch, place, name, calls) -> None:
    real, left = getattr(place, name), [calls]

    def killed(*arguments, **named):
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return real(*arguments, **named)

    monkeypatch.setattr(place, name, killed)


STEPS = {
    "before the note": (pruning, "write_note", 1),
    "after the note": (pruning, "find_prunable", 2),
    "before the first removal": (pruning, "_remove", 1),
    "before the second removal": (pruning, "_remove", 2),
    "before the last look at a blob": (ObjectStore, "age", 6),
    "before a removal": (ObjectStore, "delete", 2),
    "before the note is narrowed": (pruning, "settle_notes", 1),
    "before the wide note goes": (ObjectStore, "delete", 4),
}


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_at_any_step_nothing_is_gone_without_a_note(
    runs, later, monkeypatch, tmp_path, step, recipe
):
    first, second, champion = runs(3)
    store = first.store
    released = requested(champion)
    reported(store, released)
    promote(store, recipe, released.release, "ann", undocumented)
    later(2 * DAY)
    before, expected = blobs(store), models_of(first) | models_of(second)
    # The last blob was put again, so that the note has to be narrowed.
    spared = sorted(expected)[-1]
    age = ObjectStore.age
    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "age", lambda self, key: 1.0 if key == spared else age(self, key))
        kill(patched, *STEPS[step])
        with pytest.raises(Killed):
            prune(store, NONE)
    assert before - blobs(store) <= noted(store)
    assert before - blobs(store) <= expected
    for run in (first, second, champion):
        assert verify_run(store, run.run, tmp_path).passed
    later(2 * 3600)
    left = blobs(store) & expected
    assert gone(prune(store, NONE)) == left
    assert blobs(store) & expected == set()
    assert noted(store) == expected
    assert models_of(champion) <= blobs(store)


def test_a_sweep_takes_out_of_a_dead_prunes_note_what_is_still_there(runs, later, monkeypatch):
    (run,) = runs(1)
    later(2 * DAY)
    with monkeypatch.context() as patched:
        kill(patched, pruning, "_remove", 2)
        with pytest.raises(Killed):
            prune(run.store, NONE)
    assert len(noted(run.store)) == 3
    later(2 * 3600)
    sweep(run.store, "coordinator", 7 * DAY)
    assert len(noted(run.store)) == 1


def test_the_note_of_a_prune_that_may_go_on_stays(runs):
    (run,) = runs(1)
    key = model_key(run.head.best_model_sha256)
    note = Sweep(role="coordinator", older_than=3600.0, objects=(SweptObject(key=key, bytes=1),))
    run.store.create(note_key(prunes_prefix(), "other"), canonical_json(note))
    sweep(run.store, "coordinator", 7 * DAY)
    assert gone(prune(run.store, NONE)) == set()
    assert noted(run.store) == {key}


def test_a_party_may_not_prune(runs, later):
    (run,) = runs(1)
    later(2 * DAY)
    before = blobs(run.store)
    with pytest.raises(StoreRefused):
        prune(run.stores["shop-a"], NONE)
    assert blobs(run.store) == before


def test_a_model_that_is_there_is_not_refused(runs):
    (run,) = runs(1)
    refuse_pruned(run.store, run.run, run.head.best_model_sha256)
    refuse_while_pruned(run.store, run.run, run.head.best_model_sha256)
