"""What somebody else commits to the models repository is refused, and gone once it is taken back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fedmodels.errors import FedcartError
from infra.models_repository import BRANCH, open_models_repository
from tasks.release import recorded_files
from tasks.release.promoting import rollback
from tasks.release.reading import read_history
from tasks.release.recording import Recorded, record_all, record_releases
from tests.tasks.release.recorded_releases import foreign, git, release


def refused(recorder, recipe) -> str:
    with pytest.raises(FedcartError) as caught:
        record_releases(recorder, recipe)
    assert caught.value.code == "models-rewritten"
    return str(caught.value)


def foreign_changes(recipe) -> dict[str, dict[str, bytes | None]]:
    """What somebody else commits, though the champion's pointer stays as it is."""
    below = f"releases/{recipe}"
    return {
        "nothing": {},
        "another model": {f"models/{recipe}.dvc": b"outs: []\n"},
        "other metrics": {f"{below}/metrics.json": b"{}"},
        "another key": {f"{below}/model-signing-key.pub": b"eve"},
        "a file less": {f"{below}/lineage.json": None},
        "the pointer gone": {f"{below}/champion.json": None},
        "a model of no recipe": {"models/eve.dvc": b"outs: []\n"},
        "another remote": {".dvc/config": b"[core]\n"},
    }


def test_a_history_that_says_something_else_than_the_bucket_is_refused(recorder, recipe, runs):
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    with open_models_repository(None, recorder.own) as repository:
        path = recorded_files.folders_of(recipe).pointer
        files = repository.files(repository.tip, path)
        changed = files[path].replace(b'"by":"ann"', b'"by":"eve"')
        assert changed != files[path]
        made = repository.commit({path: changed}, "not of the bucket", datetime.now(UTC))
    with pytest.raises(FedcartError) as caught:
        record_releases(recorder, recipe)
    assert caught.value.code == "models-rewritten"
    assert git(recorder.own, "rev-parse", BRANCH) == made


@pytest.mark.parametrize("change", foreign_changes("r"))
def test_a_commit_of_somebody_else_is_refused_until_it_is_taken_back(recorder, recipe, runs, change):
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    good = git(recorder.own, "rev-parse", BRANCH)
    foreign(recorder, foreign_changes(recipe)[change])
    for _ in range(2):
        with pytest.raises(FedcartError) as caught:
            record_releases(recorder, recipe)
        assert caught.value.code == "models-rewritten"
    git(recorder.own, "update-ref", f"refs/heads/{BRANCH}", good)
    assert record_releases(recorder, recipe, thorough=True) == Recorded()


@pytest.mark.parametrize("change", ["an older move", "another model", "other metrics", "another recipe"])
def test_a_move_changes_nothing_of_a_release_that_it_returns_to(recorder, recipe, runs, change):
    for run in (runs(), runs()):
        release(recorder, recipe, run)
        record_releases(recorder, recipe)
    rollback(recorder.store, recipe, "ann")
    folders = recorded_files.folders_of(recipe)
    with open_models_repository(None, recorder.own) as repository:
        first = git(recorder.own, "rev-list", "--max-parents=0", BRANCH)
        files = {path: data for path, data in repository.files(first).items() if folders.holds(path)}
    if change != "an older move":
        files[folders.pointer] = folders.write(read_history(recorder.store, recipe)[-1])
        named = "models/another.dvc" if change == "another recipe" else None
        files |= {named: b"outs: []\n"} if named else foreign_changes(recipe)[change]
    foreign(recorder, files)
    with pytest.raises(FedcartError) as caught:
        record_releases(recorder, recipe)
    assert caught.value.code == "models-rewritten"


def put_back(folder, commit) -> None:
    git(folder, "update-ref", f"refs/heads/{BRANCH}", commit)


@pytest.mark.parametrize("whose", ["of no recipe", "of another recipe"])
def test_nothing_is_recorded_on_top_of_a_commit_at_another_recipe(recorder, recipe, runs, whose):
    other = f"{recipe}b"
    for name in (recipe, other):
        release(recorder, name, runs())
        record_releases(recorder, name)
    good = git(recorder.own, "rev-parse", BRANCH)
    folders = recorded_files.folders_of("ghost" if whose == "of no recipe" else other)
    foreign(recorder, {folders.pointer: b"{}", folders.model: b"outs: []\n", ".dvc/config": b"[core]\n"})
    release(recorder, recipe, runs())
    for _ in range(2):
        refused(recorder, recipe)
    with pytest.raises(FedcartError, match="rewritten"):
        record_all(recorder)
    put_back(recorder.own, good)
    assert len(record_releases(recorder, recipe).tags) == 2


def test_a_repository_at_a_url_goes_on_once_its_branch_is_put_back(recorder, recipe, runs, tmp_path):
    there, clone = tmp_path / "there.git", tmp_path / "clone"
    git(tmp_path, "init", "-q", "--bare", str(there))
    recorder = replace(recorder, place=f"file://{there}")
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    good = git(there, "rev-parse", BRANCH)
    git(tmp_path, "clone", "-q", "-b", BRANCH, str(there), str(clone))
    (clone / "models" / f"{recipe}.dvc").write_text("outs: []\n")
    git(clone, "-c", "user.name=eve", "-c", "user.email=eve@localhost", "commit", "-qam", "another model")
    git(clone, "push", "-q", "origin", BRANCH)
    for _ in range(2):
        refused(recorder, recipe)
    put_back(there, good)
    release(recorder, recipe, runs())
    assert len(record_releases(recorder, recipe).tags) == 2
    assert git(there, "rev-parse", BRANCH) == git(recorder.own, "rev-parse", BRANCH)


def as_commit(recorder, tree, *parents) -> str:
    """Make a commit of a tree, and let the branch be it."""
    name = ("-c", "user.name=eve", "-c", "user.email=eve@localhost")
    named = [word for parent in parents for word in ("-p", parent)]
    made = git(recorder.own, *name, "commit-tree", tree, *named, "-m", "not fedcart's")
    put_back(recorder.own, made)
    git(recorder.own, "update-ref", "refs/fedcart/known", parents[0])
    return made


def test_a_next_move_that_merges_what_nobody_recorded_is_refused(recorder, recipe, runs):
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    first = git(recorder.own, "rev-parse", BRANCH)
    aside = as_commit(recorder, f"{first}^{{tree}}", first)
    put_back(recorder.own, first)
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    as_commit(recorder, f"{BRANCH}^{{tree}}", first, aside)
    assert "no move of a champion" in refused(recorder, recipe)


def test_a_next_move_of_one_recipe_that_changes_another_is_refused(recorder, recipe, runs):
    other = f"{recipe}b"
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    first = git(recorder.own, "rev-parse", BRANCH)
    release(recorder, other, runs())
    record_releases(recorder, other)
    foreign(recorder, {f"models/{recipe}.dvc": b"outs: []\n"})
    as_commit(recorder, f"{BRANCH}^{{tree}}", first)
    assert f"changes models/{recipe}.dvc with a move of {other}" in refused(recorder, recipe)


def test_a_recipe_whose_champions_are_damaged_holds_up_no_other(recorder, recipe, runs):
    other = f"{recipe}b"
    for name in (recipe, other):
        release(recorder, name, runs())
        record_releases(recorder, name)
    recorder.store.put_blob(f"coordinator/releases/{other}/champion.json", b"{}")
    release(recorder, recipe, runs())
    assert len(record_releases(recorder, recipe).tags) == 2
