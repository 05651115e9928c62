"""The object store through a line that stumbles: what arrives is what was put, or nothing is said to be."""

import hashlib
from contextlib import suppress

import pytest

from bench.proxy import Harm, harming
from fedmodels.errors import IntegrityError, TransientError
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from tests.store_alone import store_alone

BLOB = bytes(range(256)) * 400
HARMS = {
    "latency": Harm(latency=0.02),
    "cut": Harm(cut_every=5),
    "corrupt": Harm(corrupt_every=7),
    "half-open": Harm(half_open_every=2),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("proxied"), ("shop-a", "shop-b")) as made:
        yield made


def through(home, proxy):
    settings = load_role_settings(home, "coordinator")
    return ObjectStore(
        settings.bucket,
        endpoint=proxy.endpoint,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        silence=1.0,
    )


def until_it_works(call):
    """What a task does: try again what may pass."""
    for _ in range(20):
        with suppress(TransientError):
            return call()
    raise AssertionError("never worked")


@pytest.mark.parametrize("kind", HARMS)
def test_what_arrives_is_what_was_put(home, tmp_path, kind):
    file, back = tmp_path / "blob", tmp_path / "back"
    file.write_bytes(BLOB)
    sha256 = hashlib.sha256(BLOB).hexdigest()
    with harming(load_role_settings(home, "coordinator").s3_endpoint, HARMS[kind]) as proxy:
        for number in range(4):
            play(through(home, proxy), f"coordinator/proxied/{kind}/{number}", file, back, sha256)
        assert proxy.done[kind] >= 2, "the line was harmed indeed"


def play(store, key, file, back, sha256):
    """Every kind of request that carries content."""
    said = b'{"cohort": ["shop-a", "shop-b"], "round": 7}'
    assert until_it_works(lambda: store.create(key, said)) == said
    found, version = until_it_works(lambda: store.read_version(key))
    assert found == said
    assert until_it_works(lambda: store.swap(key, said + b" ", version))
    until_it_works(lambda: store.upload(f"{key}.blob", file, sha256))
    until_it_works(lambda: store.download(f"{key}.blob", back, sha256))
    assert back.read_bytes() == file.read_bytes()


def test_a_message_that_stands_damaged_in_the_store_is_never_returned(home):
    settings = load_role_settings(home, "coordinator")
    with harming(settings.s3_endpoint, Harm()) as proxy:
        store = through(home, proxy)
        key = "coordinator/proxied/rotten"
        store.put_blob(key, b"what was put")
        named = {"sha256": hashlib.sha256(b"what was put").hexdigest()}
        store.client.put_object(Bucket=settings.bucket, Key=key, Body=b"what was not", Metadata=named)
        with pytest.raises(IntegrityError) as caught:
            store.read(key)
        assert caught.value.code == "object-damaged"
        assert store.read(key, checked=False) == b"what was not", "whoever verifies a run wants to see it"
