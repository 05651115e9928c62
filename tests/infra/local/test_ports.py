"""Ports: free, different, with room for gRPC; a taken one is refused in a sentence."""

import socket

import pytest

from fedmodels.errors import InputError, StackError
from infra.local.ports import GRPC_OFFSET, HOST, answers, check_port, free_ports, port_is_free, require_free


@pytest.fixture
def taken():
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_free_ports_are_different_and_free_with_their_companions():
    found = free_ports(50, companions=True)
    assert len(set(found)) == 50
    assert all(port_is_free(port) and port_is_free(port + GRPC_OFFSET) for port in found)


def test_avoided_ports_are_not_drawn():
    avoided = frozenset(range(10_000, 21_990))
    assert avoided.isdisjoint(free_ports(3, avoid=avoided))


def test_as_many_as_there_are_and_no_more():
    with pytest.raises(StackError, match="are free") as caught:
        free_ports(1, avoid=frozenset(range(65_536)))
    assert caught.value.code == "ports-taken"


def test_a_taken_port_is_seen_and_refused(taken: int):
    assert answers(taken)
    assert not port_is_free(taken)
    with pytest.raises(StackError, match=f"The port {taken} of the Prefect server is taken"):
        require_free(taken, "Prefect server")


@pytest.mark.parametrize("port", [0, -1, 65_536, 1_000_000])
def test_what_is_no_port_is_refused(port: int):
    with pytest.raises(InputError) as caught:
        check_port(port, "Prefect server")
    assert caught.value.code == "port-invalid"
    assert str(caught.value) == (
        f"The port {port} of the Prefect server is not between 1 and 65535; choose another one, "
        "or leave it out for a free one."
    )


@pytest.mark.parametrize("port", [1, 65_535])
def test_what_is_a_port_is_taken(port: int):
    check_port(port, "Prefect server")
