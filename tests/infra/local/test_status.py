"""What is told of a stack of which only a part runs."""

from pathlib import Path

import pytest

from infra.local.plan import Stack
from infra.local.seaweedfs import StorePorts
from infra.local.stack import SERVER, STORE
from infra.local.status import ProcessStatus, StackStatus

STACK = Stack(Path("/home"), "bucket", ("shop-a",), 4200, StorePorts.choose(8333))
UI, ENDPOINT = "http://127.0.0.1:4200", "http://127.0.0.1:8333"


def looked(store: str, server: str) -> StackStatus:
    states = {STORE: store, SERVER: server, "worker-coordinator": "running"}
    return StackStatus(
        STACK,
        tuple(ProcessStatus(name, "all", name, state, 1, 1, 1.0, None) for name, state in states.items()),
    )


@pytest.mark.parametrize(
    ("store", "server", "addresses"),
    [
        ("running", "running", (UI, ENDPOINT)),
        ("not answering", "not answering", (UI, ENDPOINT)),
        ("running", "died", (None, ENDPOINT)),
        ("stopped", "running", (UI, None)),
    ],
)
def test_only_what_lives_has_an_address(store, server, addresses):
    told = looked(store, server).document()
    assert (told["ui_url"], told["s3_endpoint"]) == addresses
    assert (told["api_url"] is None) == (told["ui_url"] is None)
    assert told["state"] == ("up" if {store, server} == {"running"} else "degraded")


def test_a_home_without_a_stack():
    told = StackStatus(None, ()).document()
    assert (told["state"], told["ui_url"], told["s3_endpoint"]) == ("down", None, None)
