"""Pruning the real store: what no release and no open run refers to goes, and nothing else."""

from dataclasses import replace
from functools import partial

import pytest

from fedmodels.errors import InputError, IntegrityError
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.messages import StartingModel
from fedmodels.protocol.pruning import JUST_CLOSED, OPEN, parse_keep
from fedmodels.protocol.retraining import RetrainingRequest
from infra.keys import load_private_key
from infra.layout import (
    architecture_key,
    closed_key,
    model_key,
    retraining_key,
    run_prefix,
)
from infra.settings import load_role_settings
from tasks.exchange import create_message
from tasks.release import pruning
from tasks.release.answering import reject
from tasks.release.lineage import record_lineage
from tasks.release.promoting import promote, rollback
from tasks.release.pruned import is_pruned
from tasks.release.pruning import find_prunable, prune
from tasks.reproducing import read_played
from tasks.verifying.run import verify_run
from tests.tasks.release.pruning.bucket import (
    DAY,
    NONE,
    another,
    blobs,
    close,
    gone,
    models_of,
    noted,
    requested,
)
from tests.tasks.release.released_models import reported, undocumented
from tests.tasks.verifying.finished_run import ARCHITECTURE


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
    """A retraining that is to begin from it, say, and whose run has no plan yet."""
    (run,) = runs(1)
    request = RetrainingRequest(
        recipe=recipe,
        number=1,
        ticket="flow-run",
        run="not-begun-yet",
        champion_sha256="0" * 64,
        parties=("shop-a",),
        begins_from=StartingModel(run=run.run, round=1, model_sha256=run.head.best_model_sha256),
        reason="rows were withdrawn",
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
