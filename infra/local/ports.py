"""Free ports on 127.0.0.1, for servers that the local stack is about to start."""

import random
import socket

from fedmodels.errors import InputError, StackError

HOST = "127.0.0.1"
GRPC_OFFSET = 10_000
"""SeaweedFS answers gRPC this far above each of its HTTP ports."""
HIGHEST_PORT = 65_535

_LOWEST, _HIGHEST = 10_000, 22_000  # with the offset still below the range of outgoing connections


def port_is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def answers(port: int, timeout: float = 0.5) -> bool:
    """Whether something accepts connections on `port`."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout):
            return True
    except OSError:
        return False


def free_ports(
    count: int, *, companions: bool = False, avoid: frozenset[int] = frozenset()
) -> tuple[int, ...]:
    """`count` different free ports, drawn at random so that two stacks seldom draw the same.

    Args:
        companions: each port's neighbour `GRPC_OFFSET` above must be free as well.
        avoid: ports not to draw, nor to have as a neighbour.

    Raises:
        StackError: there are not as many.
    """
    found: list[int] = []
    for port in random.sample(range(_LOWEST, _HIGHEST), _HIGHEST - _LOWEST):
        group = (port, port + GRPC_OFFSET) if companions else (port,)
        if avoid.isdisjoint(group) and all(map(port_is_free, group)):
            found.append(port)
        if len(found) == count:
            return tuple(found)
    raise StackError(
        f"Only {len(found)} of {count} ports between {_LOWEST} and {_HIGHEST} are free",
        fix="stop a server that you no longer need",
        code="ports-taken",
    )


def check_port(port: int, purpose: str, highest: int = HIGHEST_PORT) -> None:
    """See that a server could have this port.

    Raises:
        InputError: it is none (`port-invalid`).
    """
    if not 0 < port <= highest:
        above = f", since it also needs the port {HIGHEST_PORT - highest} above" * (highest < HIGHEST_PORT)
        raise InputError(
            f"The port {port} of the {purpose} is not between 1 and {highest}{above}",
            fix="choose another one, or leave it out for a free one",
            code="port-invalid",
        )


def require_free(port: int, purpose: str) -> int:
    """Return `port` when a server could listen on it.

    Raises:
        StackError: it is taken, or only the system may use it.
    """
    if port_is_free(port):
        return port
    raise StackError(
        f"The port {port} of the {purpose} is taken, or kept for the system",
        fix="choose another one, or leave it out for a free one",
        code="port-taken",
    )
