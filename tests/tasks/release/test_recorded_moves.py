"""What somebody else commits to the models repository is refused, and gone once it is taken back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fedmodels.errors import FedcartError
from infra.models_branch import BRANCH
from infra.models_repository import open_models_repository
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


def two_recipes(recorder, recipe, runs) -> str:
    other = f"{recipe}b"
    for name in (recipe, other):
        release(recorder, name, runs())
        record_releases(recorder, name)
    return other


@pytest.mark.parametrize("how", ["damaged", "gone", "older"])
def test_a_recipe_whose_champion_is_lost_holds_up_no_other(recorder, recipe, runs, how):
    other = two_recipes(recorder, recipe, runs)
    key = f"coordinator/releases/{other}/champion.json"
    older = recorder.store.read(key)
    release(recorder, other, runs())
    record_releases(recorder, other)
    if how == "gone":
        recorder.store.delete(key)
    else:
        recorder.store.put_blob(key, older if how == "older" else b"{}")
    release(recorder, recipe, runs())
    assert len(record_releases(recorder, recipe).tags) == 2
    if how == "older":
        said = refused(recorder, other)
        assert f"restore the champion of {other} in the bucket if it was lost there; else put its" in said
    else:
        with pytest.raises(FedcartError) as caught:
            record_releases(recorder, other)
        assert (caught.value.code == "champions-broken") is (how == "gone"), "nobody else would tell"
        assert other in str(caught.value)


def test_nothing_is_recorded_on_top_of_a_commit_of_which_nobody_can_tell(recorder, recipe, runs):
    other = two_recipes(recorder, recipe, runs)
    key = f"coordinator/releases/{other}/champion.json"
    standing, good = recorder.store.read(key), git(recorder.own, "rev-parse", BRANCH)
    recorder.store.put_blob(key, b"{}")
    folders = recorded_files.folders_of(other)
    foreign(recorder, {folders.pointer: b"{}", folders.model: b"outs: []\n"})
    release(recorder, recipe, runs())
    with pytest.raises(FedcartError, match=other):
        record_releases(recorder, recipe)
    recorder.store.put_blob(key, standing)
    refused(recorder, recipe)
    put_back(recorder.own, good)
    assert len(record_releases(recorder, recipe).tags) == 2


@pytest.mark.parametrize("mode", ["160000", "120000", "100755"])
def test_a_commit_that_adds_what_is_no_plain_file_is_refused(recorder, recipe, runs, mode):
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    good, path = git(recorder.own, "rev-parse", BRANCH), recorded_files.folders_of(recipe).pointer
    what = "1" * 40 if mode == "160000" else git(recorder.own, "rev-parse", f"{BRANCH}:{path}")
    git(recorder.own, "update-index", "--add", "--cacheinfo", f"{mode},{what},{path}")
    as_commit(recorder, git(recorder.own, "write-tree"), good)
    assert "adds what is no plain file" in refused(recorder, recipe)


def test_whoever_may_push_to_a_repository_at_a_path_decides_nothing_of_what_is_good(
    recorder, recipe, runs, tmp_path
):
    there = tmp_path / "there"
    git(tmp_path, "init", "-q", "--bare", str(there))
    recorder = replace(recorder, place=str(there))
    other = two_recipes(recorder, recipe, runs)
    path = recorded_files.folders_of(other).pointer
    clone = tmp_path / "eves"
    git(tmp_path, "clone", "-q", "-b", BRANCH, str(there), str(clone))
    (clone / path).write_bytes((clone / path).read_bytes().replace(b'"by":"ann"', b'"by":"eve"'))
    git(clone, "-c", "user.name=eve", "-c", "user.email=eve@localhost", "commit", "-qam", "another")
    git(clone, "push", "-q", "origin", BRANCH, f"{BRANCH}:refs/fedcart/known")
    release(recorder, recipe, runs())
    refused(recorder, recipe)


@pytest.mark.parametrize("kind", ["own", "path", "url"])
def test_what_the_refusal_advises_helps(recorder, recipe, runs, tmp_path, kind):
    there = tmp_path / "there"
    git(tmp_path, "init", "-q", *(["--bare"] if kind == "url" else []), str(there))
    place = {"own": None, "path": str(there), "url": f"file://{there}"}[kind]
    recorder = replace(recorder, place=place)
    folder = recorder.own if kind == "own" else there
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    good = git(folder, "rev-parse", BRANCH)
    tree = git(folder, "rev-parse", f"{BRANCH}^{{tree}}")
    name = ("-c", "user.name=eve", "-c", "user.email=eve@localhost")
    put_back(folder, git(folder, *name, "commit-tree", tree, "-m", "not fedcart's"))
    said = refused(recorder, recipe)
    assert "move models-repository in the coordinator's folder away" in said
    recorder.own.rename(tmp_path / "away")
    if kind != "own":
        git(there, "update-ref", "-d", f"refs/heads/{BRANCH}")
        for tag in git(there, "tag").split():
            git(there, "tag", "-d", tag)
    assert len(record_releases(recorder, recipe).tags) == 2
    assert git(folder, "rev-parse", BRANCH) == good


COMMON_CHANGES = {
    ".dvc/config": b"[core]\n    remote = models\n['remote \"models\"']\n    url = s3://eve\n",
    ".dvc/.gitignore": b"",
    ".gitignore": b"/models\n",
    "README.md": b"# Models of eve\n",
    "dvc.yaml": b"stages:\n  eve:\n    cmd: eve\n",
}


@pytest.mark.parametrize("path", COMMON_CHANGES)
def test_a_next_move_that_changes_what_is_common_to_all_is_refused(recorder, recipe, runs, path):
    first, good = recorded_twice(recorder, recipe, runs, recorder.own)
    foreign(recorder, {path: COMMON_CHANGES[path]})
    as_commit(recorder, f"{BRANCH}^{{tree}}", first)
    assert f"changes {path}, and not as fedcart would" in refused(recorder, recipe)
    put_back(recorder.own, good)
    assert record_releases(recorder, recipe) == Recorded()


def test_a_bucket_that_has_moved_leaves_earlier_commits_as_they_are(recorder, recipe, runs):
    release(recorder, recipe, runs())
    record_releases(recorder, recipe)
    told = {name: {**remote, "region": "eu-west-9"} for name, remote in recorder.remotes.told.items()}
    recorder = replace(recorder, remotes=replace(recorder.remotes, told=told))
    release(recorder, recipe, runs())
    assert len(record_releases(recorder, recipe).tags) == 2
    assert record_releases(recorder, recipe) == Recorded()


def recorded_twice(recorder, recipe, runs, folder) -> tuple[str, str]:
    """Two releases, recorded; the branch's commit in a repository after each."""
    commits = []
    for _ in range(2):
        release(recorder, recipe, runs())
        record_releases(recorder, recipe)
        commits.append(git(folder, "rev-parse", BRANCH))
    return commits[0], commits[1]


def mirrored(recorder, tmp_path):
    """A repository that a URL names, and the recorder of a machine that follows it."""
    there = tmp_path / "there.git"
    git(tmp_path, "init", "-q", "--bare", str(there))
    return there, replace(recorder, place=f"file://{there}")


def pushed_by_eve(there, tmp_path, recipe, *, orphan: bool) -> None:
    clone = tmp_path / "eves"
    git(tmp_path, "clone", "-q", str(there), str(clone))
    git(clone, "checkout", "-q", *(("--orphan", BRANCH) if orphan else (BRANCH,)))
    (clone / "models").mkdir(exist_ok=True)
    (clone / "models" / f"{recipe}.dvc").write_text("outs: []\n")
    git(clone, "add", "-A")
    git(clone, "-c", "user.name=eve", "-c", "user.email=eve@localhost", "commit", "-qm", "another model")
    git(clone, "push", "-q", "origin", BRANCH)


def test_a_mirror_that_first_fetched_a_foreign_branch_forgets_it_with_the_branch(
    recorder, recipe, runs, tmp_path
):
    there, recorder = mirrored(recorder, tmp_path)
    pushed_by_eve(there, tmp_path, recipe, orphan=True)
    release(recorder, recipe, runs())
    refused(recorder, recipe)
    git(there, "update-ref", "-d", f"refs/heads/{BRANCH}")
    assert len(record_releases(recorder, recipe).tags) == 2
    assert git(there, "rev-parse", BRANCH) == git(recorder.own, "rev-parse", BRANCH)


def test_a_mirror_that_only_followed_keeps_what_it_found_good(recorder, recipe, runs, tmp_path):
    """Whatever came on top meanwhile, and however far the branch was put back after that."""
    there, recorder = mirrored(recorder, tmp_path)
    first, good = recorded_twice(recorder, recipe, runs, there)
    follower = replace(recorder, folder=tmp_path / "follower")
    with open_models_repository(follower.place, follower.own) as repository:
        assert repository.tip == good
    pushed_by_eve(there, tmp_path, recipe, orphan=False)
    refused(follower, recipe)
    put_back(there, first)
    with open_models_repository(follower.place, follower.own) as repository:
        assert repository.tip == good


def test_a_branch_that_was_put_back_behind_what_was_pushed_is_told(recorder, recipe, runs, tmp_path):
    there, recorder = mirrored(recorder, tmp_path)
    first, _ = recorded_twice(recorder, recipe, runs, there)
    put_back(there, first)
    assert "does not contain commit" in refused(recorder, recipe)
