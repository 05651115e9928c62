"""The store's promises on the real store; and that a store which breaks one is found out."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from fedmodels.errors import StoreRefused
from infra.local.plan import Stack
from infra.settings import load_role_settings
from infra.store_checks import PAIR, RACERS, check_isolation, check_store, prefixes_of, refuse_unfit
from infra.stores import store_from_settings

ROLES = ("coordinator", "shop-a", "shop-b")
PREFIXES = prefixes_of(ROLES)


@pytest.fixture
def running(store_running: Stack) -> Stack:
    return store_running


def client_of(running: Stack, role: str) -> Any:
    return store_from_settings(load_role_settings(running.home, role)).client


class Altered:
    """The real client, except that arguments of `put_object` are dropped, as a lesser store would."""

    def __init__(self, client: Any, *dropped: str) -> None:
        self._client = client
        self._dropped = dropped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **arguments: Any) -> Any:
        return self._client.put_object(**{k: v for k, v in arguments.items() if k not in self._dropped})


def refusal(attempt: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        attempt()
    return str(caught.value.response["Error"]["Code"])


def test_the_local_store_keeps_every_promise(running: Stack):
    found = check_store(client_of(running, "coordinator"), running.bucket, "coordinator/")
    assert [finding for finding in found if not finding.passed] == []
    assert found[0].detail == f"1 of {RACERS} at once won"


@pytest.mark.parametrize("dropped", ["IfNoneMatch", "IfMatch"])
def test_no_run_begins_on_a_store_that_lets_several_writers_win(running: Stack, monkeypatch, dropped: str):
    store = store_from_settings(load_role_settings(running.home, "coordinator"))
    refuse_unfit(store, "coordinator/")
    monkeypatch.setattr(store, "client", Altered(store.client, dropped))
    with pytest.raises(StoreRefused, match=f"told {PAIR} of {PAIR} writers of one key") as caught:
        refuse_unfit(store, "coordinator/")
    assert caught.value.code == "store-unfit"


def test_the_checks_leave_nothing_behind(running: Stack):
    client = client_of(running, "shop-a")
    check_store(client, running.bucket, "parties/shop-a/")
    left = client.list_objects_v2(Bucket=running.bucket, Prefix="parties/shop-a/stack/checks/")
    assert left["KeyCount"] == 0


@pytest.mark.parametrize(
    ("dropped", "check"),
    [
        ("IfNoneMatch", "a key is created once"),
        ("IfMatch", "a key is swapped once"),
        ("ChecksumSHA256", "damaged bytes are refused"),
    ],
)
def test_a_store_that_breaks_a_promise_is_found_out(running: Stack, dropped: str, check: str):
    altered = Altered(client_of(running, "coordinator"), dropped)
    found = check_store(altered, running.bucket, "coordinator/")  # type: ignore[arg-type]
    assert [finding.check for finding in found if not finding.passed] == [check]


def test_wrong_credentials_are_a_finding_and_no_exception(running: Stack):
    found = check_store(client_of(running, "shop-a"), running.bucket, "parties/shop-b/")
    assert {(f.passed, f.detail) for f in found} == {(False, "the store answered AccessDenied")}


def test_every_role_is_kept_to_its_prefix(running: Stack):
    clients = {role: client_of(running, role) for role in ROLES}
    assert all(finding.passed for finding in check_isolation(clients, PREFIXES, running.bucket))


def test_every_prefix_that_is_somebodys_is_tried():
    assert PREFIXES == {
        "coordinator": "coordinator/",
        "shop-a": "parties/shop-a/",
        "shop-b": "parties/shop-b/",
        "private": "private/",
        "own/shop-a": "own/shop-a/",
        "own/shop-b": "own/shop-b/",
    }


@pytest.mark.parametrize("role", ["coordinator", "shop-b"])
def test_nobody_else_looks_into_what_is_a_partys_own(running: Stack, role: str):
    bucket, mine, other = running.bucket, client_of(running, "shop-a"), client_of(running, role)
    key = "own/shop-a/dvc/files/md5/00/1234"
    mine.put_object(Bucket=bucket, Key=key, Body=b"rows")
    assert mine.get_object(Bucket=bucket, Key=key)["Body"].read() == b"rows"
    assert mine.list_objects_v2(Bucket=bucket, Prefix="own/shop-a/")["KeyCount"] == 1
    attempts: dict[str, Callable[[], object]] = {
        "read": lambda: other.get_object(Bucket=bucket, Key=key),
        "head": lambda: other.head_object(Bucket=bucket, Key=key),
        "write": lambda: other.put_object(Bucket=bucket, Key=key, Body=b"2"),
        "delete": lambda: other.delete_object(Bucket=bucket, Key=key),
        "list": lambda: other.list_objects_v2(Bucket=bucket, Prefix="own/shop-a/"),
        "list above": lambda: other.list_objects_v2(Bucket=bucket, Prefix="own/"),
        "list all": lambda: other.list_objects_v2(Bucket=bucket),
        "versions": lambda: other.list_object_versions(Bucket=bucket, Prefix="own/"),
        "uploads": lambda: other.list_multipart_uploads(Bucket=bucket, Prefix="own/"),
        "copy": lambda: other.copy_object(Bucket=bucket, Key=f"{role}/stolen", CopySource=f"{bucket}/{key}"),
    }
    assert {name: refusal(attempt) for name, attempt in attempts.items()} == {
        name: "403" if name == "head" else "AccessDenied" for name in attempts
    }
    assert mine.get_object(Bucket=bucket, Key=key)["Body"].read() == b"rows"


def test_a_coordinator_that_looks_into_a_partys_own_is_found_out(running: Stack):
    clients = {role: client_of(running, role) for role in ROLES}
    clients["coordinator"] = clients["shop-a"]
    found = {finding.check: finding for finding in check_isolation(clients, PREFIXES, running.bucket)}
    detail = found["coordinator is kept to its prefix"].detail
    assert all(f"{verb} of own/shop-a's objects" in detail for verb in ("write", "read", "list"))


def test_a_store_where_a_role_may_do_more_is_found_out(running: Stack):
    clients = {role: client_of(running, role) for role in ROLES}
    clients["shop-a"] = client_of(running, "shop-b")
    found = {finding.check: finding for finding in check_isolation(clients, PREFIXES, running.bucket)}
    broken = found["shop-a is kept to its prefix"]
    assert not broken.passed
    assert all(f"{verb} of shop-b's objects" in broken.detail for verb in ("write", "read", "list"))


def test_another_partys_prefix_is_refused_by_every_road(running: Stack):
    bucket, mine, other = running.bucket, client_of(running, "shop-a"), client_of(running, "shop-b")
    key = "parties/shop-b/private"
    other.put_object(Bucket=bucket, Key=key, Body=b"1")
    attempts: dict[str, Callable[[], object]] = {
        "read": lambda: mine.get_object(Bucket=bucket, Key=key),
        "write": lambda: mine.put_object(Bucket=bucket, Key=key, Body=b"2"),
        "delete": lambda: mine.delete_object(Bucket=bucket, Key=key),
        "list": lambda: mine.list_objects_v2(Bucket=bucket, Prefix="parties/shop-b/"),
        "list all": lambda: mine.list_objects_v2(Bucket=bucket),
        "list above": lambda: mine.list_objects_v2(Bucket=bucket, Prefix="parties/"),
        "versions": lambda: mine.list_object_versions(Bucket=bucket, Prefix="parties/shop-b/"),
        "copy": lambda: mine.copy_object(
            Bucket=bucket, Key="parties/shop-a/stolen", CopySource=f"{bucket}/{key}"
        ),
        "coordinator": lambda: mine.put_object(Bucket=bucket, Key="coordinator/forged", Body=b"2"),
        "bucket": lambda: mine.delete_bucket(Bucket=bucket),
        "new bucket": lambda: mine.create_bucket(Bucket="shop-a"),
    }
    assert {name: refusal(attempt) for name, attempt in attempts.items()} == dict.fromkeys(
        attempts, "AccessDenied"
    )
    refused = mine.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert [error["Code"] for error in refused["Errors"]] == ["AccessDenied"]
    assert other.get_object(Bucket=bucket, Key=key)["Body"].read() == b"1"


def test_the_coordinator_reads_what_parties_leave_for_it_and_writes_its_own_only(running: Stack):
    bucket, client = running.bucket, client_of(running, "coordinator")
    client_of(running, "shop-b").put_object(Bucket=bucket, Key="parties/shop-b/update", Body=b"1")
    assert client.get_object(Bucket=bucket, Key="parties/shop-b/update")["Body"].read() == b"1"
    assert client.list_objects_v2(Bucket=bucket, Prefix="parties/shop-b/")["KeyCount"] >= 1
    assert (
        refusal(lambda: client.put_object(Bucket=bucket, Key="parties/shop-b/x", Body=b"")) == "AccessDenied"
    )
    assert refusal(lambda: client.delete_object(Bucket=bucket, Key="parties/shop-b/update")) == "AccessDenied"


def test_a_party_reads_and_lists_the_coordinators_area(running: Stack):
    bucket, client = running.bucket, client_of(running, "shop-a")
    client_of(running, "coordinator").put_object(Bucket=bucket, Key="coordinator/plan", Body=b"1")
    assert client.get_object(Bucket=bucket, Key="coordinator/plan")["Body"].read() == b"1"
    assert client.list_objects_v2(Bucket=bucket, Prefix="coordinator/")["KeyCount"] >= 1
    assert refusal(lambda: client.head_object(Bucket=bucket, Key="parties/shop-a/not-there")) == "404"


def test_a_wrong_secret_and_no_secret_are_refused(running: Stack):
    bucket, settings = running.bucket, load_role_settings(running.home, "shop-a")
    wrong = boto3.client(
        "s3",
        endpoint_url=running.endpoint,
        region_name="us-east-1",
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key="wrong",
    )
    key = "parties/shop-a/stack/hello"
    assert refusal(lambda: wrong.get_object(Bucket=bucket, Key=key)) == "SignatureDoesNotMatch"
    nobody = boto3.client(
        "s3",
        endpoint_url=running.endpoint,
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED),
    )
    assert refusal(lambda: nobody.get_object(Bucket=bucket, Key=key)) == "AccessDenied"
    assert refusal(lambda: nobody.list_objects_v2(Bucket=bucket)) == "AccessDenied"
    assert refusal(lambda: nobody.put_object(Bucket=bucket, Key=key, Body=b"")) == "AccessDenied"
