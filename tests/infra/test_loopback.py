"""With a proxy in the environment, this machine's own servers are asked directly, and others through it."""

import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from infra.local import prefect_server, seaweedfs
from infra.local.plan import read_stack
from infra.loopback import is_loopback, sparing
from infra.s3_clients import s3_client
from tests.store_alone import store_alone, store_of

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Answering(BaseHTTPRequestHandler):
    """Says yes to everything, and notes what it was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments):
        """Nothing on the terminal."""


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Answering) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def closed_port():
    with socket.socket() as held:  # bound, and not listening: nobody else gets it
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def proxy(monkeypatch, closed_port) -> str:
    """The environment names a proxy that is not there."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    url = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.setenv("HTTPS_PROXY", url)
    return url


@pytest.mark.usefixtures("proxy")
def test_the_prefect_servers_health_is_asked_directly(server):
    assert prefect_server.answers(server.server_port)
    assert server.asked == ["/api/health"]


@pytest.mark.usefixtures("proxy")
def test_the_store_starts_and_is_used_behind_a_proxy(tmp_path):
    with store_alone(tmp_path, ("shop-a", "shop-b")) as home:
        assert seaweedfs.answers(read_stack(home).store)
        store = store_of(home, "coordinator")
        store.put_blob("coordinator/behind", b"a proxy")
        assert store.read("coordinator/behind") == b"a proxy"


def test_a_store_elsewhere_is_asked_through_the_proxy(server, monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    client = s3_client(
        "http://store.example:8333",
        access_key_id="a",
        secret_access_key="b",
        connect_timeout=2,
        read_timeout=2,
        attempts=1,
    )
    client.get_object(Bucket="bucket", Key="key")
    assert server.asked == ["http://store.example:8333/bucket/key"]


def test_other_libraries_ask_directly_in_the_stacks_processes(server, proxy, monkeypatch):
    url = f"http://127.0.0.1:{server.server_port}/"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    for name, value in prefect_server.clean_environment().items():
        monkeypatch.setenv(name, value)
    assert httpx.get(url).is_success
    with urllib.request.urlopen(url) as answer:
        assert answer.status == 200
    assert httpx.get(url.replace("127.0.0.1", "localhost")).is_success
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://elsewhere.example/")


@pytest.mark.parametrize(
    ("environment", "spared"),
    [
        ({}, None),
        ({"no_proxy": "bank.example"}, None),
        ({"http_proxy": "http://proxy"}, "127.0.0.1,localhost"),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "a, localhost"}, "a,localhost,127.0.0.1"),
        (
            {"http_proxy": "http://proxy", "no_proxy": "small", "NO_PROXY": "large"},
            "small,127.0.0.1,localhost",
        ),
        ({"http_proxy": "http://proxy", "no_proxy": "*"}, None),
    ],
)
def test_what_is_spared_is_added_to_what_stands(environment, spared):
    assert sparing(environment) == ({} if spared is None else {"no_proxy": spared, "NO_PROXY": spared})


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        ("http://127.0.0.1:8333", True),
        ("http://localhost:1/x", True),
        ("http://[::1]:8333", True),
        ("http://store.bank:8333", False),
        ("http://10.0.0.1", False),
    ],
)
def test_which_urls_are_this_machines(url, is_it):
    assert is_loopback(url) is is_it
