"""Releases in the models repository, made of the real bucket: GTO, DVC and git see what the champion is."""

import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dvc.api
import gto.api
import pytest
from dvc.repo import Repo

from fedmodels.errors import FedcartError
from infra.dvc_tracking import Tracking
from infra.keys import ensure_model_key
from infra.layout import model_key, release_key
from infra.models_branch import BRANCH
from infra.models_repository import ModelsRepository, recorded_tags
from tasks.release import recorded_files, recording
from tasks.release.lineage import record_lineage
from tasks.release.promoting import rollback
from tasks.release.reading import read_report
from tasks.release.recording import Recorded, record_all, record_releases
from tasks.release.signing import sign_release
from tests.tasks.release.recorded_releases import git, release

ROOT = Path(__file__).resolve().parents[3]


def champion_of(recorder, recipe) -> str:
    (found,) = gto.api.show(str(recorder.own), f"{recipe}#champion")
    return found["version"]


def weights_at(recorder, recipe, target, rev=None) -> bytes:
    Repo.get(str(recorder.own), f"models/{recipe}", str(target), rev=rev)
    return (target / "model.safetensors").read_bytes()


def test_whoever_knows_gto_and_dvc_finds_the_model(recorder, recipe, runs, tmp_path):
    first, second = runs(), runs()
    release(recorder, recipe, first)
    assert record_releases(recorder, recipe).tags == (f"{recipe}@v1.0.0", f"{recipe}#champion#1")
    release(recorder, recipe, second)
    assert record_releases(recorder, recipe).tags == (f"{recipe}@v2.0.0", f"{recipe}#champion#2")
    models = [run.store.read(model_key(run.head.best_model_sha256)) for run in (first, second)]
    assert champion_of(recorder, recipe) == "v2.0.0"
    assert weights_at(recorder, recipe, tmp_path / "now") == models[1]
    assert weights_at(recorder, recipe, tmp_path / "first", f"{recipe}@v1.0.0") == models[0]
    with dvc.api.open(
        f"models/{recipe}/model.safetensors", str(recorder.own), rev=f"{recipe}#champion#2", mode="rb"
    ) as stream:
        assert stream.read() == models[1]
    shown = dvc.api.artifacts_show(recipe, stage="champion", repo=str(recorder.own))
    assert shown == {
        "path": f"models/{recipe}",
        "rev": git(recorder.own, "rev-parse", f"{recipe}@v2.0.0^{{}}"),
    }
    assert (tmp_path / "now" / "README.md").read_text().startswith("---\n")
    files = git(recorder.own, "ls-tree", "-r", "--name-only", BRANCH).splitlines()
    assert [name for name in files if name.startswith("releases/")] == [
        f"releases/{recipe}/{name}"
        for name in (
            *("README.md", "champion.json", "lineage.json", "metrics.json"),
            *("model-signing-key.pub", "report.json"),
        )
    ]


def test_a_rollback_moves_the_stage_and_what_the_branch_shows(recorder, recipe, runs, tmp_path):
    first, second = runs(), runs()
    for run in (first, second):
        release(recorder, recipe, run)
    rollback(first.store, recipe, "ben", reason="worse at night")
    done = record_releases(recorder, recipe)
    assert done.tags == (
        *(f"{recipe}@v1.0.0", f"{recipe}#champion#1", f"{recipe}@v2.0.0"),
        *(f"{recipe}#champion#2", f"{recipe}#champion#3"),
    )
    assert champion_of(recorder, recipe) == "v1.0.0"
    model = first.store.read(model_key(first.head.best_model_sha256))
    assert weights_at(recorder, recipe, tmp_path / "now") == model
    assert "worse at night" in git(recorder.own, "log", "-1", "--format=%B", BRANCH)
    assert record_releases(recorder, recipe).tags == ()


def test_the_same_commits_are_made_of_the_same_bucket(recorder, recipe, runs, tmp_path):
    for run in (runs(), runs()):
        release(recorder, recipe, run)
    record_releases(recorder, recipe)
    other = replace(recorder, folder=tmp_path / "another machine")
    record_releases(other, recipe)
    assert git(other.own, "show-ref") == git(recorder.own, "show-ref")


class Killed(BaseException):
    """The process ends here."""


STEPS = {
    "before anything is made": (recorded_files, "tracking"),
    "before anything is sent": (Tracking, "send"),
    "before the commit": (ModelsRepository, "commit"),
    "before a tag": (ModelsRepository, "tag"),
    "before the push": (ModelsRepository, "publish"),
    "before the tree follows": (ModelsRepository, "show"),
    "before it is remembered": (ModelsRepository, "remember"),
}


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_at_any_step_the_next_call_goes_on(
    recorder, recipe, runs, tmp_path, monkeypatch, step, calls
):
    release(recorder, recipe, runs())
    place, name = STEPS[step]
    real, left = getattr(place, name), [calls]

    def killed(*arguments, **named):
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(place, name, killed)
        with suppress(Killed):
            record_releases(recorder, recipe)
    assert record_releases(recorder, recipe).lost == ()
    assert recorded_tags(None, recorder.own) == {f"{recipe}@v1.0.0", f"{recipe}#champion#1"}
    assert git(recorder.own, "rev-list", "--count", BRANCH) == "1"
    assert git(recorder.own, "status", "--short") == ""
    assert list(recorder.folder.glob(".recording-*")) == []
    other = replace(recorder, folder=tmp_path / "undisturbed")
    record_releases(other, recipe)
    assert git(other.own, "rev-parse", BRANCH) == git(recorder.own, "rev-parse", BRANCH)


KILLED_PROCESS = """
import os, signal, sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from infra.keys import ensure_model_key, load_private_key
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from tasks.release import recorded_files, signing
from tasks.release.recording import record_releases, recorder_from_settings
from tasks.release.signing import document_release, sign_release
from tests.tasks.release.folders import folder_of

home, folder, recipe, module, kind, name = sys.argv[1:]
for module_of_folders in (recorded_files, signing):
    module_of_folders.write_model_folder = folder_of
place = getattr(import_module(module), kind)
setattr(place, name, lambda *_arguments, **_named: os.kill(os.getpid(), signal.SIGKILL))
settings = load_role_settings(Path(home), "coordinator")
key = load_private_key(settings.signing_key)
made = recorder_from_settings(settings, store_from_settings(settings), key)
record_releases(replace(made, folder=Path(folder)), recipe)
"""


@pytest.mark.parametrize("step", ["before anything is sent", "before a tag", "before the tree follows"])
def test_a_process_that_is_killed_leaves_nothing_that_holds_up_the_next(home, recorder, recipe, runs, step):
    release(recorder, recipe, runs())
    place, name = STEPS[step]
    told = (home, recorder.folder, recipe, place.__module__, place.__name__, name)
    program = [sys.executable, "-c", KILLED_PROCESS, *map(str, told)]
    killed = subprocess.run(program, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list(recorder.folder.glob(".recording-*"))) == (step == "before anything is sent")
    record_releases(recorder, recipe)
    assert recorded_tags(None, recorder.own) == {f"{recipe}@v1.0.0", f"{recipe}#champion#1"}
    assert git(recorder.own, "rev-list", "--count", BRANCH) == "1"
    assert git(recorder.own, "status", "--short") == ""
    assert record_releases(recorder, recipe, thorough=True) == Recorded()


def test_a_remote_that_is_away_leaves_nothing_and_the_next_call_records(recorder, recipe, runs):
    release(recorder, recipe, runs())
    nowhere = {"endpointurl": "http://127.0.0.1:9"}
    told = {name: {**values, **nowhere} for name, values in recorder.remotes.told.items()}
    away = replace(recorder, remotes=replace(recorder.remotes, told=told))
    with pytest.raises(FedcartError) as caught:
        record_releases(away, recipe)
    assert caught.value.code == "store-unavailable"
    assert recorded_tags(None, recorder.own) == frozenset()
    assert len(record_releases(recorder, recipe).tags) == 2


def test_two_at_once_record_each_release_once(recorder, recipe, runs):
    for run in (runs(), runs()):
        release(recorder, recipe, run)
    done, start = [], threading.Barrier(2)

    def work():
        start.wait()
        done.append(record_releases(recorder, recipe).tags)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, done)) == [0, 4]
    assert git(recorder.own, "rev-list", "--count", BRANCH) == "2"


def commands_of_the_page(recorder, recipe) -> list[list[str]]:
    """What docs/releases.md tells a reader of a model to run, of this recipe and repository."""
    page = (ROOT / "docs" / "releases.md").read_text(encoding="utf-8")
    found = re.findall(r"^    ((?:dvc get REPOSITORY|model_signing) .*)$", page, re.MULTILINE)
    told = [command.replace("reviews", recipe).replace("v3.0.0", "v1.0.0") for command in found]
    return [command.replace("REPOSITORY", str(recorder.own)).split() for command in told]


def test_whoever_gets_the_model_verifies_it_with_the_commands_of_the_page(recorder, recipe, runs, tmp_path):
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)

    def run(words: list[str]) -> int:
        program = [sys.executable, "-m", *words]
        return subprocess.run(program, cwd=tmp_path, capture_output=True, check=False).returncode

    *gets, verify = commands_of_the_page(recorder, recipe)
    assert [run(words) for words in gets] == [0, 0]
    assert (tmp_path / "model-signing-key.pub").read_bytes() == recorder.model_key.public
    assert run(verify) == 0
    (tmp_path / recipe / "config.json").write_text("{}")
    assert run(verify) == 1


@pytest.mark.parametrize("change", ["other files", "other key", "other signature"])
def test_what_is_not_as_it_was_signed_is_not_recorded(recorder, recipe, runs, tmp_path, monkeypatch, change):
    run = runs()
    release(recorder, recipe, run)
    if change == "other key":
        recorder = replace(recorder, model_key=ensure_model_key(tmp_path / "other.pem"))
    elif change == "other signature":
        run.store.put_blob(release_key(recipe, 1, "signature"), b"{}")
    else:
        other_files(monkeypatch)
    assert record_releases(recorder, recipe) == Recorded(lost=(f"{recipe}@v1.0.0",))


def test_a_release_that_nobody_signed_is_recorded_without_a_signature(recorder, recipe, runs, tmp_path):
    """Of before there were signatures: whoever records it again makes the same files."""
    run = runs()
    release(recorder, recipe, run, documented=False)
    record_lineage(run.store, recorder.key, read_report(run.store, recipe, 1))
    record_releases(recorder, recipe)
    sign_release(run.store, recorder.model_key, read_report(run.store, recipe, 1), recorder.folder)
    weights_at(recorder, recipe, tmp_path / "now")
    assert sorted(path.name for path in (tmp_path / "now").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    other = replace(recorder, folder=tmp_path / "another machine")
    record_releases(other, recipe)
    assert git(other.own, "show-ref") == git(recorder.own, "show-ref")


def other_files(monkeypatch) -> None:
    """As another version of transformers would write them."""
    real = recorded_files.write_model_folder

    def newer(store, plan, sha256, folder):
        real(store, plan, sha256, folder)
        (folder / "config.json").write_text("of another version")

    monkeypatch.setattr(recorded_files, "write_model_folder", newer)


def damaged(recorder, recipe, run):
    """Record a release and damage its model in DVC's remote; return the store, the key and the true bytes."""
    release(recorder, recipe, run)
    record_releases(recorder, recipe)
    store, model = run.store, run.store.read(model_key(run.head.best_model_sha256))
    (key,) = [key for key in store.list_keys("private/models/") if store.read(key) == model]
    store.client.put_object(Bucket=store.bucket, Key=key, Body=model[::-1])
    return store, key, model


def test_what_was_damaged_in_dvcs_remote_is_sent_again(recorder, recipe, runs, tmp_path):
    store, key, model = damaged(recorder, recipe, runs())
    assert record_releases(recorder, recipe, thorough=False).mended == ()
    assert record_releases(recorder, recipe, thorough=True).mended == (f"{recipe}@v1.0.0",)
    assert weights_at(recorder, recipe, tmp_path / "now") == model
    store.delete(key)
    assert record_releases(recorder, recipe, thorough=False).mended == (f"{recipe}@v1.0.0",)


def test_what_cannot_be_made_again_as_it_was_is_left_as_it_stands(recorder, recipe, runs, monkeypatch):
    store, key, model = damaged(recorder, recipe, runs())
    other_files(monkeypatch)
    with pytest.raises(FedcartError) as caught:
        record_releases(recorder, recipe, thorough=True)
    assert caught.value.code == "models-lost"
    assert store.read(key) == model[::-1]


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_release_whose_model_is_gone_or_damaged_holds_up_no_later_one(recorder, recipe, runs, damage):
    first, second = runs(), runs()
    for run in (first, second):
        release(recorder, recipe, run)
    key = model_key(first.head.best_model_sha256)
    first.store.delete(key)
    if damage == "damaged":
        first.store.put_blob(key, b"other weights")
    done = record_releases(recorder, recipe)
    assert done.lost == (f"{recipe}@v1.0.0",)
    assert done.tags == (f"{recipe}@v2.0.0", f"{recipe}#champion#2")


def test_a_champion_of_before_gets_its_lineage_record_now(recorder, recipe, runs):
    release(recorder, recipe, runs(), documented=False)
    record_releases(recorder, recipe)
    assert f"releases/{recipe}/lineage.json" in git(recorder.own, "ls-tree", "-r", "--name-only", BRANCH)


def test_a_champion_whose_lineage_cannot_be_made_is_recorded_without(recorder, recipe, runs, monkeypatch):
    run = runs()
    release(recorder, recipe, run, documented=False)
    run.store.put_blob(f"coordinator/releases/{recipe}/0001/lineage.json", b"no record")
    assert len(record_releases(recorder, recipe).tags) == 2
    files = git(recorder.own, "ls-tree", "-r", "--name-only", BRANCH)
    assert "lineage.json" not in files and f"releases/{recipe}/README.md" not in files


def test_a_name_that_gto_does_not_take_is_refused(recorder, recipe, runs, monkeypatch):
    release(recorder, f"{recipe}-", runs())
    with pytest.raises(FedcartError) as caught:
        record_releases(recorder, f"{recipe}-")
    assert caught.value.code == "models-name"
    monkeypatch.setattr(recording, "released_recipes", lambda _store: (f"{recipe}-",))
    with pytest.raises(FedcartError, match=f"{recipe}-"):
        record_all(recorder)
    assert not any(tag.startswith(f"{recipe}-@") for tag in recorded_tags(None, recorder.own))
