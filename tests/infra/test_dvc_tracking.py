"""What a release sends to DVC's remote in the real store, and what comes back of it."""

import subprocess

import dvc.api
import pytest
import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo

from fedmodels.errors import FedcartError, StoreRefused
from infra.dvc_tracking import MODELS, SETS, find_damage, remotes_from_settings, tracking
from infra.settings import Settings, load_role_settings
from infra.stores import store_from_settings
from tests.store_alone import store_alone


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), ("shop-a",)) as folder:
        yield folder


@pytest.fixture
def settings(home) -> Settings:
    return load_role_settings(home, "coordinator")


def track(settings, work, weights=b"weights") -> dict[str, bytes]:
    with tracking(remotes_from_settings(settings), work) as tracked:
        model = tracked.folder / "models" / "reviews"
        model.mkdir(parents=True)
        (model / "model.safetensors").write_bytes(weights)
        (model / "config.json").write_text("{}")
        held = tracked.folder / "sets" / "holdout.csv"
        held.parent.mkdir()
        held.write_bytes(b"text,label\n" + weights)
        files = tracked.track({"models/reviews": MODELS, "sets/holdout.csv": SETS})
        tracked.sent = tracked.send()
    return files


def committed(folder, settings, files):
    """A git repository with those files, as whoever reads it has cloned it."""
    written = {".dvc/config": remotes_from_settings(settings).config().encode(), **files}
    for path, data in written.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def key_of(digest: str) -> str:
    return f"private/models/files/md5/{digest[:2]}/{digest[2:]}"


@pytest.fixture
def login(settings, monkeypatch) -> tuple[str, str]:
    """What a reader was given, as every program for S3 takes it."""
    given = (settings.s3_access_key_id, settings.s3_secret_access_key.get_secret_value())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given[1])
    return given


def test_a_model_comes_back_and_the_sets_lie_apart(settings, login, tmp_path):
    files = track(settings, tmp_path / "work", b"comes back")
    repository = committed(tmp_path / "clone", settings, files)
    Repo.get(str(repository), "models/reviews", str(tmp_path / "got"))
    assert (tmp_path / "got" / "model.safetensors").read_bytes() == b"comes back"
    with dvc.api.open("sets/holdout.csv", str(repository), mode="rb") as stream:
        assert stream.read() == b"text,label\ncomes back"
    store = store_from_settings(settings)
    assert len(list(store.list_keys("private/models/"))) >= 3
    assert len(list(store.list_keys("private/sets/"))) >= 1
    assert yaml.safe_load(files["sets/holdout.csv.dvc"])["outs"][0]["remote"] == "sets"


def test_what_is_committed_holds_no_credentials(settings, login, tmp_path):
    files = track(settings, tmp_path / "work", b"no credentials")
    told = remotes_from_settings(settings).config().encode() + b"".join(files.values())
    for secret in login:
        assert secret.encode() not in told
    assert str(tmp_path).encode() not in told


def test_the_same_is_sent_once_and_nothing_stays_on_the_disk(settings, tmp_path):
    (tmp_path / "work" / ".recording-killed").mkdir(parents=True)
    assert track(settings, tmp_path / "work", b"once") == track(settings, tmp_path / "work", b"once")
    assert list((tmp_path / "work").iterdir()) == []
    store = store_from_settings(settings)
    keys = list(store.list_keys("private/"))
    track(settings, tmp_path / "work", b"once")
    assert list(store.list_keys("private/")) == keys


def test_no_party_reads_it(home, settings, tmp_path):
    track(settings, tmp_path / "work", b"private")
    party = store_from_settings(load_role_settings(home, "shop-a"))
    (key, *_) = store_from_settings(settings).list_keys("private/models/")
    with pytest.raises(StoreRefused):
        party.read(key)
    with pytest.raises(StoreRefused):
        list(party.list_keys("private/models/"))


@pytest.mark.parametrize("damage", ["other bytes", "gone", "other length"])
def test_what_was_damaged_in_the_remote_is_seen_and_sent_again(settings, tmp_path, damage):
    weights = f"weights before: {damage}".encode()
    files = track(settings, tmp_path / "work", weights)
    store, pointer = store_from_settings(settings), files["models/reviews.dvc"]
    assert find_damage(store, MODELS, pointer, thorough=True) == []
    (key,) = [key for key in store.list_keys("private/models/") if store.read(key) == weights]
    if damage == "gone":
        store.delete(key)
    else:
        changed = weights[::-1] if damage == "other bytes" else weights[1:]
        store.client.put_object(Bucket=store.bucket, Key=key, Body=changed)
    listed = key_of(yaml.safe_load(pointer)["outs"][0]["md5"])
    quick = find_damage(store, MODELS, pointer, thorough=False)
    assert quick == ([] if damage == "other bytes" else [key, listed])
    assert find_damage(store, MODELS, pointer, thorough=True) == [key, listed]
    for each in (key, listed):
        store.delete(each)
    track(settings, tmp_path / "work", weights)
    assert find_damage(store, MODELS, pointer, thorough=True) == []


def test_a_lost_list_of_files_is_damage_too(settings, tmp_path):
    pointer = track(settings, tmp_path / "work", b"lost list")["models/reviews.dvc"]
    store = store_from_settings(settings)
    key = key_of(yaml.safe_load(pointer)["outs"][0]["md5"])
    store.client.put_object(Bucket=store.bucket, Key=key, Body=b"no list")
    assert find_damage(store, MODELS, pointer, thorough=False) == [key]
    store.delete(key)
    assert find_damage(store, MODELS, pointer, thorough=False) == [key]


def test_dvc_itself_refuses_to_pull_what_was_damaged(settings, login, tmp_path):
    files = track(settings, tmp_path / "work", b"will be damaged")
    repository = committed(tmp_path / "clone", settings, files)
    store = store_from_settings(settings)
    (key,) = [key for key in store.list_keys("private/models/") if store.read(key) == b"will be damaged"]
    store.client.put_object(Bucket=store.bucket, Key=key, Body=b"was damaged now")
    with pytest.raises(DvcException), Repo(str(repository)) as repo:
        repo.pull(["models/reviews.dvc"])
    assert not (repository / "models" / "reviews" / "model.safetensors").exists()


@pytest.mark.parametrize("how", ["gone", "refuses", "no bucket"])
def test_a_remote_that_is_gone_or_refuses_is_told_in_a_sentence(settings, tmp_path, how):
    changes = {
        "gone": {"s3_endpoint": "http://127.0.0.1:9"},
        "refuses": {"s3_secret_access_key": "wrong"},
        "no bucket": {"bucket": "another"},
    }[how]
    other = settings.model_validate({**settings.model_dump(), **changes})
    with pytest.raises(FedcartError) as caught:
        track(other, tmp_path / "work", how.encode())
    assert caught.value.code == ("store-unavailable" if how == "gone" else "store-refused")
    assert list((tmp_path / "work").iterdir()) == []
