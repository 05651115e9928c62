"""DVC's remotes in the real store: what no commit names goes, and what one names stays."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from fedmodels.errors import StoreRefused
from infra import leftovers, models_repository
from infra.keys import load_private_key
from infra.layout import model_key
from infra.models_repository import ModelsRepository
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from tasks.release import recorded_files, unrecorded
from tasks.release.lineage import record_lineage
from tasks.release.promoting import promote
from tasks.release.recording import record_releases, recorder_from_settings
from tasks.release.requesting import open_release
from tasks.release.unrecorded import Unrecorded, find_unrecorded, remove_unrecorded
from tests.tasks.release.folders import folder_of
from tests.tasks.release.released_models import reported
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

ORPHANS = ("private/models/files/md5/00/orphan", "private/sets/files/md5/ff/orphan")


@pytest.fixture
def settings(home, opened, tmp_path, monkeypatch):
    """The coordinator's, with a folder of the test's own; models are folders of two files."""
    monkeypatch.setattr(recorded_files, "write_model_folder", folder_of)
    found = load_role_settings(home, "coordinator")
    yield found.model_copy(update={"home": tmp_path, "models_repository": None})
    for prefix in ("private/", "coordinator/releases/"):
        for key in list(opened.store.list_keys(prefix)):
            opened.store.delete(key)


@pytest.fixture
def recorder(settings, opened):
    return recorder_from_settings(settings, opened.store, load_private_key(settings.signing_key))


@pytest.fixture
def recorded(recorder, opened):
    """A release of a recipe of its own, in the repository; keys of what DVC sent of it."""
    release(recorder, opened)
    record_releases(recorder, recipe_of(opened))
    return set(opened.store.list_keys("private/"))


@pytest.fixture
def old(monkeypatch):
    """Two hours go by for all that stands in DVC's remotes."""
    listed = leftovers.list_objects

    def aged(store, prefix):
        return (replace(found, age=found.age + 7200) for found in listed(store, prefix))

    monkeypatch.setattr(unrecorded, "list_objects", aged)


def recipe_of(run) -> str:
    return f"tiny-{run.run}"


def release(recorder, run, recipe=None, accuracy=0.7) -> None:
    """Play a run and make its model the champion of a recipe, by default its own."""
    recipe = recipe or recipe_of(run)
    run.play(1, dict.fromkeys(PARTIES, 1), accuracy=accuracy)
    run.close()
    request = open_release(
        run.store,
        recipe,
        run.run,
        run=run.run,
        round_number=1,
        model_sha256=run.head.best_model_sha256,
    )
    reported(run.store, request)
    document = partial(record_lineage, run.store, recorder.key)
    promote(run.store, recipe, request.release, "ann", document)


def orphan(store) -> None:
    for key in ORPHANS:
        store.put_blob(key, b"orphan")


def keys(found: Unrecorded) -> set[str]:
    return {each.key for each in found.objects}


def test_what_no_commit_names_goes_and_nothing_else(recorded, settings, opened, old, recorder):
    orphan(opened.store)
    found = find_unrecorded(opened.store, settings)
    assert (keys(found), found.left) == (set(ORPHANS), "")
    assert set(opened.store.list_keys("private/")) == recorded | set(ORPHANS), "a look removes nothing"
    assert keys(remove_unrecorded(opened.store, settings)) == set(ORPHANS)
    assert set(opened.store.list_keys("private/")) == recorded
    assert find_unrecorded(opened.store, settings) == Unrecorded()
    assert record_releases(recorder, recipe_of(opened), thorough=True).mended == ()


def test_what_is_younger_than_an_hour_stays(recorded, settings, opened):
    orphan(opened.store)
    assert find_unrecorded(opened.store, settings) == Unrecorded()


def test_what_a_recording_that_was_killed_has_sent_stays_until_it_is_recorded(
    recorder, settings, opened, old, monkeypatch
):
    """It is named by no commit, though a release asks for it: the repository has to follow first."""
    release(recorder, opened)

    class Killed(BaseException):
        pass

    def killed(*_arguments):
        raise Killed

    with monkeypatch.context() as patched, suppress(Killed):
        patched.setattr(ModelsRepository, "commit", killed)
        record_releases(recorder, recipe_of(opened))
    sent = set(opened.store.list_keys("private/models/"))
    assert len(sent) >= 3
    found = remove_unrecorded(opened.store, settings)
    assert found.objects == ()
    assert found.left.startswith("models-behind: ")
    assert "run fedcart release sync first" in found.left
    record_releases(recorder, recipe_of(opened))
    assert remove_unrecorded(opened.store, settings) == Unrecorded()
    assert set(opened.store.list_keys("private/models/")) >= sent


def test_a_machine_without_the_repository_removes_nothing(recorded, settings, opened, old, tmp_path):
    elsewhere = settings.model_copy(update={"home": tmp_path / "another machine"})
    orphan(opened.store)
    found = remove_unrecorded(opened.store, elsewhere)
    assert (found.objects, found.left.partition(":")[0]) == ((), "models-behind")
    assert not (elsewhere.workspace / "models-repository").exists(), "nothing is made for a look"
    assert set(opened.store.list_keys("private/")) == recorded | set(ORPHANS)


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_a_list_of_files_that_cannot_be_read_keeps_everything(recorded, settings, opened, old, harm):
    orphan(opened.store)
    (listed,) = [key for key in recorded if key.endswith(".dir")]
    opened.store.delete(listed)
    if harm == "damaged":
        opened.store.put_blob(listed, b"[]")
    found = remove_unrecorded(opened.store, settings)
    assert (found.objects, found.left.partition(":")[0]) == ((), "models-lost")
    assert recorded - {listed} <= set(opened.store.list_keys("private/"))


def test_a_repository_that_cannot_be_opened_keeps_everything(recorded, settings, opened, old, monkeypatch):
    orphan(opened.store)
    nowhere = settings.model_copy(update={"models_repository": str(settings.home / "no-such")})
    assert remove_unrecorded(opened.store, nowhere).left.startswith("models-missing: ")
    (settings.workspace / "models-repository" / ".git" / "refs" / "heads" / models_repository.BRANCH).unlink()
    assert remove_unrecorded(opened.store, settings).left.startswith("models-rewritten: ")
    assert set(opened.store.list_keys("private/")) == recorded | set(ORPHANS)


def test_older_releases_stay_as_well(recorded, settings, opened, old, recorder, home):
    second = FinishedRun(home, f"{opened.run}-second", seed=9001)
    release(recorder, second, recipe_of(opened), accuracy=0.8)
    record_releases(recorder, recipe_of(opened))
    orphan(opened.store)
    assert keys(remove_unrecorded(opened.store, settings)) == set(ORPHANS)
    assert recorded <= set(opened.store.list_keys("private/"))
    assert opened.store.exists(model_key(second.head.best_model_sha256))


def test_a_party_is_refused(recorded, settings, home, old):
    with pytest.raises(StoreRefused):
        remove_unrecorded(store_from_settings(load_role_settings(home, "shop-a")), settings)


def test_after_a_kill_between_two_removals_the_next_goes_on(recorded, settings, opened, old, monkeypatch):
    orphan(opened.store)
    delete = ObjectStore.delete

    def killed(store, key):
        if key == ORPHANS[1]:
            raise KeyboardInterrupt
        delete(store, key)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_unrecorded(opened.store, settings)
    assert keys(remove_unrecorded(opened.store, settings)) == {ORPHANS[1]}
    assert set(opened.store.list_keys("private/")) == recorded
