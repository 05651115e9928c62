"""What can be hit, and in which way."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

Action = Literal["kill", "hang", "error", "clock"]
Deed = Literal["take back", "cancel"]
"""What somebody else does while a process of the run stands at a point. It then goes on, unharmed.

`take back`: the last party that the round counts puts something else where its update was. `cancel`: a person
cancels the run, and the process stands until it is closed.
"""
Side = Literal["coordinator", "party"]
When = Literal["before", "after", "behind", "ahead"]
Error = Literal["store", "disk", "prefect", "refused"]
ACTIONS: tuple[Action, ...] = ("kill", "hang", "error")
MOMENTS: tuple[When, ...] = ("before", "after")
CLOCKS: dict[When, float] = {"behind": -3600.0, "ahead": 3600.0}
"""Seconds by which the clock of a role's machine is off, in each of its processes."""
CANCEL = "cancel_run"
"""The step of whoever cancels a run, in a process of its own."""
WHOLE_RUN = "whole run"
"""Stands for a step where a fault lasts from the first one to the last."""
COORDINATOR = "coordinator"
WRITES = ("create", "swap", "upload", "put_blob", "delete")
"""Verbs of the store that leave something behind."""
LOCAL_STEPS = frozenset(
    {
        "import_libraries",
        "data_changed",
        "check_expectations",
        "prepare_data",
        "validate_data",
        "show_contract",
        "pin_version",
        "keep_trained_rows",
        "let_old_rows_go",
        "fine_tune",
        "judge",
    }
)
LOCAL_EFFECTS = frozenset({"adopt_model", "forget_models", "open_round_folder"})
"""What touches the disk or nothing at all: its error is the disk's. All others' is the store's."""
PREFECT_EFFECTS = frozenset({"start_party_session"})
_OBJECTS = (
    (re.compile(r"/(plan|HEAD|closed)\.json$"), None),
    (re.compile(r"/rounds/\d+/(\w+)\.json$"), None),
    (re.compile(r"/session\.json$"), "lease"),
    (re.compile(r"/sweeps/"), "sweep note"),
    (re.compile(r"/prunes/"), "prune note"),
    (re.compile(r"^prefixname"), "removal note"),  # as `written.py` makes up a key that holds either
    (re.compile(r"/champions/"), "past champion"),
    (re.compile(r"/releases/.*/(\w+)\.json$"), None),
    (re.compile(r"/drift/notices/"), "seen notice"),
    (re.compile(r"/drift/told/"), "told notice"),
    (re.compile(r"/drift/retrainings/"), "retraining"),
    (re.compile(r"^parties/[^/]+/drift/"), "drift notice"),
    (re.compile(r"\.zip$"), "architecture"),
    (re.compile(r"^coordinator/blobs/"), "model"),
    (re.compile(r"^parties/[^/]+/blobs/"), "update"),
)


@dataclass(frozen=True, order=True)
class Point:
    """A place in the program: a step, or something that it reads or writes (`effect`; empty: the step)."""

    side: Side
    step: str
    effect: str = ""

    @property
    def writes(self) -> bool:
        """Whether something is in the store afterwards that was not before."""
        return self.effect.split(" ")[0] in WRITES

    @property
    def rank(self) -> int:
        """Writes first, then steps, then local effects and Prefect's, then reads."""
        if self.writes or not self.effect:
            return 0 if self.writes else 1
        return 2 if self.effect in LOCAL_EFFECTS | PREFECT_EFFECTS else 3

    def __str__(self) -> str:
        return f"{self.step}: {self.effect}" if self.effect else self.step


@dataclass(frozen=True)
class Order:
    """What the process of `role` is to do when it first comes to a point; once order `follows` was obeyed.

    With `round` only a step of that round is meant.
    """

    role: str
    step: str
    effect: str
    when: When
    action: Action | Deed
    error: Error = "store"
    follows: int | None = None
    round: int | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def object_of(key: str) -> str:
    """What a key of the bucket holds, in a word."""
    for pattern, word in _OBJECTS:
        if found := pattern.search(key):
            return word or found[1]
    return key.rsplit("/", 1)[-1]
