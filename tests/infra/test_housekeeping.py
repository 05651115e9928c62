"""Looking after what lies in the store: sizes, ages, deletion, unfinished uploads; each role its own."""

import pytest
from botocore.response import StreamingBody

from fedmodels.errors import StoreRefused
from fedmodels.protocol.canonical import sha256_hex
from infra import object_store
from infra.leftovers import Upload, abort_upload, list_objects, list_uploads
from infra.object_store import ObjectStore
from infra.waiting import wait_for
from tests.store_alone import store_alone, store_of

PART = b"x" * 5_300_000


@pytest.fixture(scope="module")
def store_home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), ("shop-a", "shop-b")) as home:
        yield home


@pytest.fixture(scope="module")
def coordinator(store_home) -> ObjectStore:
    return store_of(store_home, "coordinator")


@pytest.fixture(scope="module")
def shop_a(store_home) -> ObjectStore:
    return store_of(store_home, "shop-a")


def begin_upload(store: ObjectStore, key: str) -> str:
    upload_id = store.client.create_multipart_upload(Bucket=store.bucket, Key=key)["UploadId"]
    store.client.upload_part(Bucket=store.bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=PART)
    return upload_id


@pytest.mark.parametrize(("limit", "read"), [(None, 10), (10, 10), (12, 10), (9, 10), (4, 5), (0, 1)])
def test_of_a_long_object_one_byte_more_than_the_limit_is_read(shop_a, limit, read):
    key = "parties/shop-a/long"
    shop_a.put_blob(key, b"0123456789")
    assert shop_a.read(key, limit) == b"0123456789"[:read]


def test_the_rest_of_a_long_object_does_not_travel(shop_a, monkeypatch):
    taken = []
    read = StreamingBody.read
    monkeypatch.setattr(StreamingBody, "read", lambda body, amt=None: taken.append(amt) or read(body, amt))
    shop_a.put_blob("parties/shop-a/long", PART)
    assert shop_a.read("parties/shop-a/long", limit=1000) == PART[:1001]
    assert all(amount is not None and amount <= 1001 for amount in taken)


def test_two_downloads_of_a_blob_at_once_do_not_share_a_file(shop_a, tmp_path, monkeypatch):
    """The second begins and ends in the middle of the first."""
    key, path, digest = "parties/shop-a/twice", tmp_path / "model", sha256_hex(PART)
    shop_a.put_blob(key, PART)
    copy = object_store._copy_hashing

    def interrupted_copy(stream, file):
        monkeypatch.setattr(object_store, "_copy_hashing", copy)
        assert shop_a.download(key, path, digest) == len(PART)
        return copy(stream, file)

    monkeypatch.setattr(object_store, "_copy_hashing", interrupted_copy)
    assert shop_a.download(key, path, digest) == len(PART)
    assert path.read_bytes() == PART
    assert list(tmp_path.iterdir()) == [path]


def test_a_listing_gives_sizes_and_ages_in_order_of_keys(shop_a):
    for name, size in (("b", 3), ("a", 2), ("c/d", 0)):
        shop_a.put_blob(f"parties/shop-a/listed/{name}", b"x" * size)
    found = list(list_objects(shop_a, "parties/shop-a/listed/"))
    assert [(item.key.rpartition("listed/")[2], item.size) for item in found] == [
        ("a", 2),
        ("b", 3),
        ("c/d", 0),
    ]
    assert all(0.0 <= item.age < 30.0 for item in found)


def test_a_blob_that_is_put_again_is_young_again(shop_a):
    key = "parties/shop-a/young/again"
    shop_a.put_blob(key, b"same")
    assert wait_for(lambda: (shop_a.age(key) or 0.0) >= 2.0, timeout=20)
    shop_a.put_blob(key, b"same")
    assert shop_a.age(key) <= 1.0
    assert shop_a.age("parties/shop-a/young/never") is None


def test_what_is_deleted_is_gone_and_deleting_twice_is_harmless(shop_a):
    key = "parties/shop-a/gone"
    shop_a.put_blob(key, b"x")
    shop_a.delete(key)
    assert not shop_a.exists(key)
    shop_a.delete(key)


def test_an_unfinished_upload_is_found_with_its_bytes_and_aborted(shop_a):
    key = "parties/shop-a/blobs/unfinished"
    upload_id = begin_upload(shop_a, key)
    (found,) = list_uploads(shop_a, "parties/shop-a/")
    assert (found.key, found.upload_id, found.size) == (key, upload_id, len(PART))
    assert 0.0 <= found.age < 30.0
    assert list(shop_a.list_keys("parties/shop-a/blobs/")) == []
    abort_upload(shop_a, found)
    assert list(list_uploads(shop_a, "parties/shop-a/")) == []
    abort_upload(shop_a, found)


def test_nobody_deletes_or_aborts_what_is_anothers(coordinator, shop_a, store_home):
    shop_b = store_of(store_home, "shop-b")
    shop_b.put_blob("parties/shop-b/blobs/kept", b"x")
    coordinator.put_blob("coordinator/blobs/kept", b"x")
    uploads = {
        role: Upload(key, begin_upload(store, key), 0, 0.0)
        for role, store, key in (
            ("shop-b", shop_b, "parties/shop-b/blobs/unfinished"),
            ("coordinator", coordinator, "coordinator/blobs/unfinished"),
        )
    }
    for refused in (
        lambda: shop_a.delete("parties/shop-b/blobs/kept"),
        lambda: shop_a.delete("coordinator/blobs/kept"),
        lambda: abort_upload(shop_a, uploads["shop-b"]),
        lambda: abort_upload(shop_a, uploads["coordinator"]),
        lambda: list(list_uploads(shop_a, "parties/shop-b/")),
        lambda: list(list_objects(shop_a, "parties/shop-b/")),
        lambda: coordinator.delete("parties/shop-b/blobs/kept"),
        lambda: abort_upload(coordinator, uploads["shop-b"]),
    ):
        with pytest.raises(StoreRefused):
            refused()
    assert coordinator.exists("parties/shop-b/blobs/kept")
    assert [found.key for found in list_uploads(shop_b, "parties/shop-b/")] == [uploads["shop-b"].key]
