"""Pruning the real store: what no release and no open run refers to goes, and nothing else."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from fedmodels.errors import InputError, IntegrityError, RunConflict, StoreRefused
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.pruning import JUST_CLOSED, OPEN, parse_keep
from fedmodels.protocol.retraining import RetrainingRequest
from fedmodels.protocol.sweeping import Sweep, SweptObject
from infra import leftovers
from infra.keys import load_private_key
from infra.layout import (
    architecture_key,
    closed_key,
    model_key,
    note_key,
    prunes_prefix,
    retraining_key,
    run_prefix,
)
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from tasks import removal_notes, sweeping
from tasks.exchange import create_message
from tasks.release import pruned, pruning
from tasks.release.answering import reject
from tasks.release.lineage import record_lineage
from tasks.release.promoting import promote, rollback
from tasks.release.pruned import is_pruned, refuse_pruned, refuse_while_pruned
from tasks.release.pruning import find_prunable, prune
from tasks.release.requesting import open_release
from tasks.release.steps import request_release
from tasks.reproducing import read_played
from tasks.sweeping import sweep
from tasks.verifying.run import verify_run
from tests.store_alone import store_of
from tests.tasks.release.released_models import reported, undocumented
from tests.tasks.verifying.finished_run import ARCHITECTURE, PARTIES, FinishedRun

DAY = 86_400.0
SEEDS = itertools.count(5000, 31)
NONE = parse_keep("0")


NUMBERS = itertools.count(1)


@pytest.fixture
def recipe() -> str:
    """Of the test's own runs."""
    return f"tiny-{next(NUMBERS)}"


@pytest.fixture
def opened(home, recipe):
    """The only run in the bucket, until the test opens others."""
    made = FinishedRun(home, f"{recipe}-run", seed=next(SEEDS), changes={"name": recipe, "num_rounds": 1})
    yield made
    for role, store in [("coordinator", made.store), *made.stores.items()]:
        for key in list(store.list_keys("coordinator/" if role == "coordinator" else f"parties/{role}/")):
            store.delete(key)


@pytest.fixture
def runs(home, opened):
    """Finished runs of one round, each with models of its own; all of the recipe `tiny`."""

    def made(count, status="finished"):
        found = []
        for _ in range(count):
            run = opened if not made.calls else another(home, opened, f"{opened.run}-{made.calls}")
            made.calls += 1
            run.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
            close(run, status)
            found.append(run)
        return found

    made.calls = 0
    return made


def another(home, run, name, seed=None, recipe=None) -> FinishedRun:
    """One more run, which is open."""
    changes = {"name": recipe or run.plan.recipe.name, "num_rounds": 1}
    return FinishedRun(home, name, next(SEEDS) if seed is None else seed, changes)


@pytest.fixture
def later(opened, monkeypatch):
    """Let so many seconds pass for all that stands in the bucket: what is put afterwards is young."""
    passed: dict[str, float] = {}
    age, put, listed = ObjectStore.age, ObjectStore.put_blob, leftovers.list_objects

    def aged(store, key):
        found = age(store, key)
        return None if found is None else found + passed.get(key, 0.0)

    def put_anew(store, key, data):
        passed.pop(key, None)
        put(store, key, data)

    def aged_list(store, prefix):
        for found in listed(store, prefix):
            yield replace(found, age=found.age + passed.get(found.key, 0.0))

    def move(seconds):
        for key in [*opened.store.list_keys("coordinator/"), *opened.store.list_keys("parties/")]:
            passed[key] = passed.get(key, 0.0) + seconds

    monkeypatch.setattr(ObjectStore, "age", aged)
    monkeypatch.setattr(ObjectStore, "put_blob", put_anew)
    for module in (pruning, pruned, removal_notes, sweeping):
        monkeypatch.setattr(module, "list_objects", aged_list)
    return move


def close(run, status="finished") -> None:
    create_message(
        run.store,
        closed_key(run.run),
        Closed(
            run=run.run,
            status=status,
            model_sha256=run.head.best_model_sha256,
            rounds=run.head.round,
            final=run.records[-1].holdout if run.records else None,
            seconds=1.0,
        ),
    )


def blobs(store) -> set[str]:
    return set(store.list_keys("coordinator/blobs/"))


def models_of(run) -> set[str]:
    named = {run.plan.base_model_sha256, *(record.candidate_sha256 for record in run.records)}
    return {model_key(each) for each in named if each}


def noted(store) -> set[str]:
    notes = [Sweep.model_validate_json(store.read(key)) for key in store.list_keys(prunes_prefix())]
    return {item.key for note in notes for item in note.objects}


def requested(run):
    return open_release(
        run.store,
        run.plan.recipe.name,
        run.run,
        run=run.run,
        round_number=1,
        model_sha256=run.head.best_model_sha256,
    )


def gone(found) -> set[str]:
    return {item.key for item in found.objects}


def test_what_no_release_and_no_open_run_refers_to_goes(runs, home, opened, later, tmp_path, recipe):
    old, champion, idle = runs(3)
    released = requested(champion)
    reported(champion.store, released)
    key = load_private_key(load_role_settings(home, "coordinator").signing_key)
    promote(champion.store, recipe, released.release, "ann", partial(record_lineage, champion.store, key))
    going_on = another(home, opened, "going-on")
    going_on.announce(1)
    assert gone(find_prunable(opened.store, NONE)) == set(), "everything is young"
    later(2 * DAY)
    before = blobs(opened.store)
    found = find_prunable(opened.store, NONE)
    assert blobs(opened.store) == before, "a look removes nothing"
    assert gone(found) == models_of(old) | models_of(idle)
    assert found.runs == tuple(sorted((old.run, idle.run)))
    assert found.stays == {OPEN: ("going-on",), "it has a release: champion": (champion.run,)}
    assert {item.runs for item in found.objects} == {(old.run,), (idle.run,)}
    assert gone(prune(opened.store, NONE)) == gone(found)
    assert blobs(opened.store) == before - gone(found)
    assert architecture_key(sha256_hex(ARCHITECTURE)) in before - gone(found), "the others share it"
    assert noted(opened.store) == gone(found)
    for run in (champion, going_on):
        report = verify_run(opened.store, run.run, tmp_path)
        assert report.passed
        assert not [item for item in report.findings if item.verdict == "pruned"]
    assert gone(prune(opened.store, NONE)) == set()


def test_messages_stay_and_say_that_their_models_were_pruned(runs, later, tmp_path):
    (run,) = runs(1)
    store = run.store
    messages = [*store.list_keys(run_prefix("coordinator", run.run)), *store.list_keys("parties/")]
    later(2 * DAY)
    prune(store, NONE)
    assert [*store.list_keys(run_prefix("coordinator", run.run)), *store.list_keys("parties/")] == messages
    report = verify_run(store, run.run, tmp_path)
    told = {item.object: item.verdict for item in report.findings if item.verdict != "ok"}
    expected = {*models_of(run), architecture_key(sha256_hex(ARCHITECTURE))}
    expected |= {"average of round 1"}
    assert told == dict.fromkeys(expected, "pruned")
    assert report.passed
    assert is_pruned(store, run.head.best_model_sha256)
    assert read_played(store, run.run).closed.status == "finished", "it can be made again"


def test_a_blob_that_is_gone_without_a_note_is_deleted_all_the_same(runs, later, tmp_path):
    (run,) = runs(1)
    run.store.delete(model_key(run.head.best_model_sha256))
    verdicts = {item.object: item.verdict for item in verify_run(run.store, run.run, tmp_path).findings}
    assert verdicts[model_key(run.head.best_model_sha256)] == "deleted"
    assert not is_pruned(run.store, run.head.best_model_sha256)


def test_a_note_is_not_believed_of_a_run_that_is_open(runs, later, tmp_path):
    (run,) = runs(1)
    later(2 * DAY)
    prune(run.store, NONE)
    run.store.delete(closed_key(run.run))
    verdicts = {item.object: item for item in verify_run(run.store, run.run, tmp_path).findings}
    found = verdicts[model_key(run.head.best_model_sha256)]
    assert (found.verdict, found.detail) == (
        "deleted",
        "the coordinator notes it as pruned, but the run is open and needs it",
    )


def test_the_newest_stay_by_the_stores_clock(runs, later, monkeypatch):
    first, second, third = runs(3)
    ages = {
        closed_key(first.run): 30 * DAY,
        closed_key(second.run): 20 * DAY,
        closed_key(third.run): 10 * DAY,
    }
    listed = pruning.list_objects

    def aged(store, prefix):
        for found in listed(store, prefix):
            yield replace(found, age=ages.get(found.key, 40 * DAY))

    monkeypatch.setattr(pruning, "list_objects", aged)
    store = first.store
    assert find_prunable(store, parse_keep("1")).runs == (first.run, second.run)
    assert find_prunable(store, parse_keep("2")).runs == (first.run,)
    assert find_prunable(store, parse_keep("15d")).runs == (first.run, second.run)
    assert find_prunable(store, parse_keep("3")).runs == ()
    assert find_prunable(store, parse_keep("31d")).stays == {
        "it was closed within 31d": tuple(sorted((first.run, second.run, third.run)))
    }


def test_a_run_that_was_closed_within_the_hour_stays(runs, later):
    (run,) = runs(1)
    later(3500)
    assert find_prunable(run.store, NONE).stays == {JUST_CLOSED: (run.run,)}


def test_a_cancelled_run_goes_as_others_do(runs, later):
    (run,) = runs(1, "cancelled")
    later(2 * DAY)
    assert gone(prune(run.store, NONE)) >= models_of(run)


def test_runs_of_one_recipe_alone(runs, home, later, recipe):
    (run,) = runs(1)
    other = another(home, run, "other-recipe", recipe="other")
    close(other, "failed")
    later(2 * DAY)
    assert gone(find_prunable(run.store, NONE, recipe)) == models_of(run)
    with pytest.raises(InputError, match=rf"no-such \(there are: other, {recipe}\)") as caught:
        find_prunable(run.store, NONE, "no-such")
    assert caught.value.code == "recipe-unknown"


@pytest.mark.parametrize("standing", ["no report yet", "ready", "awaiting approval", "outdated"])
def test_a_release_that_may_still_be_promoted_keeps_its_run(runs, later, standing, recipe):
    asks, other = runs(2)
    request = requested(asks)
    if standing != "no report yet":
        approval = "person" if standing == "awaiting approval" else "none"
        reported(asks.store, request, approval=approval, deadline=10 * DAY)
    if standing == "outdated":
        rival = requested(other)
        reported(asks.store, rival)
        promote(asks.store, recipe, rival.release, "ann", undocumented)
    later(2 * DAY)
    assert asks.run in find_prunable(asks.store, NONE).stays[f"it has a release: {standing}"]


@pytest.mark.parametrize("end", ["checks failed", "rejected"])
def test_a_release_that_is_over_keeps_nothing(runs, later, end, recipe):
    (run,) = runs(1)
    verdict = "failed" if end == "checks failed" else "passed"
    reported(run.store, requested(run), verdict=verdict, approval="person", deadline=10 * DAY)
    if end == "rejected":
        reject(run.store, recipe, 1, "ann")
    later(2 * DAY)
    assert gone(prune(run.store, NONE)) >= models_of(run)


def test_a_deadline_that_nobody_has_written_yet_keeps_its_run(runs, later):
    """A form may have been filled in, and wait for a worker to write the word."""
    (run,) = runs(1)
    reported(run.store, requested(run), approval="person", deadline=60.0)
    later(2 * DAY)
    assert find_prunable(run.store, NONE).stays == {"it has a release: deadline passed": (run.run,)}


def test_every_champion_that_ever_was_stays(runs, later, recipe):
    first, second, third = runs(3)
    for run in (first, second, third):
        request = requested(run)
        reported(run.store, request)
        promote(run.store, recipe, request.release, "ann", undocumented)
    rollback(first.store, recipe, "ann")
    later(30 * DAY)
    found = find_prunable(first.store, NONE)
    assert found.runs == ()
    assert found.stays == {
        "it has a release: champion": (second.run,),
        "it has a release: champion before": tuple(sorted((first.run, third.run))),
    }


def test_a_champion_whose_release_is_gone_from_the_bucket_stays(runs, later, recipe):
    (run,) = runs(1)
    request = requested(run)
    reported(run.store, request)
    promote(run.store, recipe, request.release, "ann", undocumented)
    for key in list(run.store.list_keys(f"coordinator/releases/{recipe}/0001/")):
        run.store.delete(key)
    later(30 * DAY)
    assert find_prunable(run.store, NONE).stays == {"it has a release: champion before": (run.run,)}


def test_a_model_that_another_message_names_stays(runs, later, recipe):
    """A retraining that compares with it, say."""
    (run,) = runs(1)
    request = RetrainingRequest(
        recipe=recipe,
        number=1,
        ticket="flow-run",
        run="not-begun-yet",
        champion_sha256=run.head.best_model_sha256,
        parties=("shop-a",),
        reason="drift",
    )
    create_message(run.store, retraining_key(recipe, 1), request)
    later(2 * DAY)
    kept = model_key(run.head.best_model_sha256)
    assert gone(find_prunable(run.store, NONE)) == (
        models_of(run) | {architecture_key(sha256_hex(ARCHITECTURE))}
    ) - {kept}


def test_a_blob_that_an_open_run_shares_stays(runs, home, later):
    """Its base model is the same: a new run puts it again, and names it from then on."""
    (run,) = runs(1)
    later(2 * DAY)
    same = another(home, run, "same-base", seed=run.seed)
    assert same.plan.base_model_sha256 == run.plan.base_model_sha256
    assert model_key(run.plan.base_model_sha256) not in gone(prune(run.store, NONE))
    assert run.store.exists(model_key(same.plan.base_model_sha256))


def test_what_a_party_says_of_an_open_run_spares_a_model_too(runs, home, later):
    (run,) = runs(1)
    another(home, run, "still-open")
    party = run.stores["shop-a"]
    named = f'"{run.head.best_model_sha256}"'.encode()
    party.put_blob(f"{run_prefix('shop-a', 'still-open')}anything.json", named)
    later(2 * DAY)
    assert model_key(run.head.best_model_sha256) not in gone(find_prunable(run.store, NONE))


def test_a_damaged_message_stops_a_prune(runs, later):
    (run,) = runs(1)
    store, key = run.store, f"{run_prefix('coordinator', run.run)}anything.json"
    store.client.put_object(Bucket=store.bucket, Key=key, Body=b"{}", Metadata={"sha256": "0" * 64})
    later(2 * DAY)
    before = blobs(store)
    with pytest.raises(IntegrityError):
        prune(store, NONE)
    assert blobs(store) == before


def test_a_run_whose_plan_is_gone_stays(runs, later):
    (run,) = runs(1)
    run.store.delete(f"coordinator/runs/{run.run}/plan.json")
    later(2 * DAY)
    assert find_prunable(run.store, NONE).runs == ()


# What comes between the look and the removal.


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
