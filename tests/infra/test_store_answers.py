"""What is made of each answer of a store that is no success, through requests to a server that gives it."""

import pytest

from fedmodels.errors import FedcartError, StoreBusy, StoreRefused, StoreUnavailable
from infra import object_store
from infra.object_store import ObjectStore
from tests.store_that_answers import store_that_answers

KEY = "coordinator/tests/key"
BUSY, AWAY, FULL, REFUSED = "store-busy", "store-unavailable", "store-full", "store-refused"
KINDS = {BUSY: StoreBusy, AWAY: StoreUnavailable, FULL: StoreRefused, REFUSED: StoreRefused}
PROXY = "<html><head><title>Bad Gateway</title></head></html>"
DOCTYPE = "<!DOCTYPE html><html><body>Bad Gateway<br></body></html>"

TABLE = [
    (400, "RequestTimeout", AWAY),
    (408, "", AWAY),
    (502, "", AWAY),
    (502, PROXY, AWAY),
    (502, DOCTYPE, AWAY),
    (503, "", AWAY),
    (503, "ServiceUnavailable", AWAY),
    (503, "XMinioServerNotInitialized", AWAY),
    (504, "", AWAY),
    (504, "GatewayTimeout", AWAY),
    (520, "", AWAY),
    (409, "ConditionalRequestConflict", BUSY),
    (409, "OperationAborted", BUSY),
    (429, "", BUSY),
    (429, "TooManyRequests", BUSY),
    (429, "AnyOtherCode", BUSY),
    (500, "", BUSY),
    (500, "InternalError", BUSY),
    (503, "SlowDown", BUSY),
    (503, "SlowDownRead", BUSY),
    (503, "SlowDownWrite", BUSY),
    (507, "", FULL),
    (507, "InsufficientStorage", FULL),
    (507, "XMinioStorageFull", FULL),
    (400, "InvalidArgument", REFUSED),
    (403, "AccessDenied", REFUSED),
    (403, "InvalidAccessKeyId", "store-credentials"),
    (403, "SignatureDoesNotMatch", "store-credentials"),
    (403, "RequestTimeTooSkewed", "clock-wrong"),
    (409, "BucketNotEmpty", REFUSED),
    (501, "NotImplemented", REFUSED),
    (505, "", REFUSED),
]
HEADS = [(408, AWAY), (409, BUSY), (429, BUSY), (500, BUSY), (502, AWAY), (503, AWAY), (504, AWAY)]
HEADS += [(507, FULL), (501, REFUSED), (403, REFUSED)]
"""An answer to HEAD has no body, and so no code but its status."""


@pytest.fixture(scope="module")
def answering():
    with store_that_answers() as server:
        yield server


@pytest.fixture
def store(answering) -> ObjectStore:
    """One that sends each request once, as a look does."""
    return store_at(answering, attempts=1)


def store_at(answering, *, attempts: int) -> ObjectStore:
    return ObjectStore(
        "fedcart",
        endpoint=f"http://127.0.0.1:{answering.port}",
        access_key_id="a",
        secret_access_key="b",
        attempts=attempts,
    )


def told(answering, ask, status: int, code: str) -> FedcartError:
    answering.status, answering.code = status, code
    answering.asked.clear()
    with pytest.raises(FedcartError) as caught:
        ask()
    assert str(answering.port) not in str(caught.value), "the store's address is nobody's business"
    return caught.value


@pytest.mark.parametrize(("status", "code", "expected"), TABLE)
@pytest.mark.parametrize("method", ["GET", "PUT", "PUT if", "LIST"])
def test_what_passes_is_told_from_what_does_not(answering, store, method, status, code, expected):
    ask = {
        "GET": lambda: store.read(KEY),
        "PUT": lambda: store.put_blob(KEY, b"content"),
        "PUT if": lambda: store.create(KEY, b"content"),
        "LIST": lambda: list(store.list_keys(KEY)),
    }[method]
    error = told(answering, ask, status, code)
    assert (error.code, len(answering.asked)) == (expected, 1)
    assert type(error) is KINDS.get(expected, StoreRefused)


@pytest.mark.parametrize(("status", "expected"), HEADS)
def test_an_answer_without_a_body_is_told_by_its_status(answering, store, status, expected):
    error = told(answering, lambda: store.exists(KEY), status, "")
    assert (error.code, answering.asked) == (expected, ["HEAD"])


def test_what_a_store_answers_to_a_part_of_a_large_upload_is_told_alike(
    answering, store, monkeypatch, tmp_path
):
    monkeypatch.setattr(object_store, "_LARGEST_SINGLE_PUT", 1)
    (tmp_path / "blob").write_bytes(b"content")
    error = told(answering, lambda: store.upload(KEY, tmp_path / "blob", "0" * 64), 503, "SlowDown")
    assert error.code == BUSY


def test_a_store_that_is_full_says_so_and_not_that_the_credentials_are_wrong(answering, store):
    error = told(answering, lambda: store.put_blob(KEY, b"content"), 507, "InsufficientStorage")
    assert "full" in error.sentence
    assert "credentials" not in str(error)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (502, ""), (400, "RequestTimeout")])
def test_what_passes_is_asked_again_before_it_is_told(answering, status, code):
    told(answering, lambda: store_at(answering, attempts=3).read(KEY), status, code)
    assert answering.asked == ["GET"] * 3
