"""What a process asks of the world, and how often what goes wrong with it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple


class Get(NamedTuple):
    """Read a key: `Stored` or `None`."""

    key: str


class Put(NamedTuple):
    """Write a key: the new version, or `Lost` is thrown."""

    key: str
    value: Any
    condition: str | int | None = None


class Age(NamedTuple):
    """Seconds since a key was written, or `None`."""

    key: str


class Delete(NamedTuple):
    """Remove a key."""

    key: str


class Sleep(NamedTuple):
    """Wait, by the process's own clock."""

    seconds: float


class Watch(NamedTuple):
    """Wait until one of the keys is written, or the time is over: polling, without its events."""

    keys: tuple[str, ...]
    seconds: float


class Crash(NamedTuple):
    """Die now, as by SIGKILL."""


Request = Get | Put | Age | Delete | Sleep | Watch | Crash
Story = Generator[Request, Any, Any]


@dataclass
class Faults:
    """How often what goes wrong, per request, until `quiet` (seconds).

    `damaged`: a read whose answer arrives with a bit flipped. `rotten`: what a party puts is damaged where it
    stands, some time later. `decaying`: so is a message of the coordinator's, until a person restores it. A
    put that is damaged on its way is refused by the store, which is `busy` here.
    """

    quiet: float = 0.0
    damaged: float = 0.0
    rotten: float = 0.0
    decaying: float = 0.0
    busy: float = 0.0
    lost_request: float = 0.0
    lost_answer: float = 0.0
    late_copy: float = 0.0
    slow: float = 0.0
    crash: float = 0.0
