"""The store's promises, on the real server: created once, swapped from what was read, checked when read."""

import threading
from base64 import b64decode
from datetime import timedelta

import pytest
from botocore import auth

from fedmodels.errors import IntegrityError, StoreBusy, StoreRefused, StoreUnavailable
from fedmodels.protocol.canonical import sha256_hex
from infra.local.ports import free_ports
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from infra.waiting import wait_for


@pytest.fixture
def store(store_running) -> ObjectStore:
    return store_from_settings(load_role_settings(store_running.home, "coordinator"))


@pytest.fixture
def party_store(store_running) -> ObjectStore:
    return store_from_settings(load_role_settings(store_running.home, "shop-a"))


def key(name: str) -> str:
    return f"coordinator/tests/{name}"


def test_what_is_created_once_stays(store):
    assert store.create(key("once"), b"first") == b"first"
    assert store.create(key("once"), b"second") == b"first"
    assert store.create(key("once"), b"first") == b"first"
    assert store.read(key("once")) == b"first"


def test_of_many_creators_one_wins_and_all_agree(store):
    seen: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: seen.append(store.create(key("race"), b"%d" % n)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert set(seen) == {store.read(key("race"))}


def test_a_swap_needs_the_version_that_was_read(store):
    store.create(key("head"), b"one")
    _, version = store.read_version(key("head"))
    assert store.swap(key("head"), b"two", version)
    assert not store.swap(key("head"), b"three", version)
    assert store.swap(key("head"), b"two", version), "our own earlier try that succeeded has won"
    assert store.read(key("head")) == b"two"


def test_a_missing_object_is_none(store):
    assert store.read(key("nothing")) is None
    assert store.size(key("nothing")) is None
    assert not store.exists(key("nothing"))


def test_a_file_survives_the_round_trip(store, tmp_path):
    data = bytes(range(256)) * 40_000
    source, target = tmp_path / "source", tmp_path / "there" / "target"
    source.write_bytes(data)
    sha256 = sha256_hex(data)
    assert store.upload(key("blob"), source, sha256) == len(data)
    assert store.size(key("blob")) == len(data)
    assert store.download(key("blob"), target, sha256) == len(data)
    assert target.read_bytes() == data


def test_an_upload_that_is_not_its_hash_is_refused(store, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"other bytes")
    with pytest.raises(StoreBusy):
        store.upload(key("wrong"), source, sha256_hex(b"these bytes"))
    assert store.read(key("wrong")) is None


def test_a_download_that_is_not_its_hash_leaves_nothing(store, tmp_path):
    store.put_blob(key("changed"), b"changed bytes")
    target = tmp_path / "target"
    with pytest.raises(IntegrityError, match="coordinator/tests/changed"):
        store.download(key("changed"), target, sha256_hex(b"the original"))
    assert list(tmp_path.iterdir()) == []


def test_every_put_is_signed_with_the_hash_of_its_bytes(store, tmp_path):
    sent = []
    store.client.meta.events.register("before-send.s3", lambda request, **_: sent.append(request))
    file = tmp_path / "file"
    file.write_bytes(b"bytes")
    digest = sha256_hex(b"bytes")
    store.create(key("signed"), b"bytes")
    _, version = store.read_version(key("signed"))
    store.swap(key("signed"), b"bytes", version)
    store.put_blob(key("signed-blob"), b"bytes")
    store.upload(key("signed-file"), file, digest)
    puts = [dict(request.headers) for request in sent if request.method == "PUT"]
    assert len(puts) == 4
    for headers in puts:
        told = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in headers.items()
        }
        assert b64decode(told["x-amz-checksum-sha256"]).hex() == digest
        assert (
            "x-amz-checksum-sha256" in told["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        )


def test_an_object_is_as_old_as_the_store_says(store):
    assert store.age(key("unborn")) is None
    store.put_blob(key("newborn"), b"x")
    assert 0.0 <= store.age(key("newborn")) <= 2.0
    assert wait_for(lambda: store.age(key("newborn")) >= 2.0, timeout=10)


def test_whether_a_blob_still_holds_its_bytes(store):
    store.put_blob(key("held"), b"these bytes")
    assert store.holds(key("held"), sha256_hex(b"these bytes"))
    assert not store.holds(key("held"), sha256_hex(b"others"))
    assert not store.holds(key("gone"), sha256_hex(b"these bytes"))


def test_keys_and_folders_are_listed_in_order(store):
    for name in ("b/2", "a/1", "b/1"):
        store.put_blob(key(f"list/{name}"), b"x")
    assert [found.rsplit("list/")[1] for found in store.list_keys(key("list/"))] == ["a/1", "b/1", "b/2"]
    assert store.list_folders(key("list/")) == ["a", "b"]


def test_a_party_reaches_neither_another_party_nor_the_coordinators_keys(store, party_store):
    store.put_blob(key("announced"), b"for all")
    assert party_store.read(key("announced")) == b"for all"
    for refused in (
        lambda: party_store.put_blob(key("mine"), b"x"),
        lambda: party_store.put_blob("parties/shop-b/x", b"x"),
        lambda: party_store.read("parties/shop-b/x"),
        lambda: list(party_store.list_keys("parties/shop-b/")),
    ):
        with pytest.raises(StoreRefused):
            refused()


def test_a_wrong_secret_is_refused_in_one_sentence(store_running):
    settings = load_role_settings(store_running.home, "coordinator")
    store = ObjectStore(
        settings.bucket,
        endpoint=settings.s3_endpoint,
        access_key_id=settings.s3_access_key_id,
        secret_access_key="wrong",
    )
    with pytest.raises(StoreRefused, match="fedcart doctor") as caught:
        store.read(key("x"))
    assert caught.value.code == "store-credentials"


def test_a_clock_that_is_an_hour_off_is_named(store, monkeypatch):
    signing_time = auth.get_current_datetime
    monkeypatch.setattr(auth, "get_current_datetime", lambda: signing_time() + timedelta(hours=1))
    with pytest.raises(StoreRefused, match="set the clock") as caught:
        store.read(key("x"))
    assert caught.value.code == "clock-wrong"


@pytest.mark.usefixtures("no_backoff")
def test_a_store_that_is_gone_may_come_back():
    (port,) = free_ports(1)
    store = ObjectStore("b", endpoint=f"http://127.0.0.1:{port}", access_key_id="a", secret_access_key="b")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.read(key("x"))
