"""What can be hit, in which way, and what has to come of it."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Action = Literal["kill", "hang", "error", "clock"]
When = Literal["before", "after", "behind", "ahead"]
Error = Literal["store", "disk", "prefect", "refused"]
ACTIONS: tuple[Action, ...] = ("kill", "hang", "error")
MOMENTS: tuple[When, ...] = ("before", "after")
CLOCKS: dict[When, float] = {"behind": -3600.0, "ahead": 3600.0}
"""Seconds by which the clock of a role's machine is off, in each of its processes."""
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

    side: Literal["coordinator", "party"]
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
    action: Action
    error: Error = "store"
    follows: int | None = None
    round: int | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Case:
    """One run with one fault; `resumed`: its coordinator was killed once before, so that it resumes."""

    point: Point
    action: Action
    when: When
    resumed: bool = False

    @property
    def name(self) -> str:
        return f"{self.point.side} · {self.point} · {self.action} {self.when}"

    @property
    def error(self) -> Error:
        if self.point.effect in PREFECT_EFFECTS:
            return "prefect"
        local = self.point.effect in LOCAL_EFFECTS or (
            not self.point.effect and self.point.step in LOCAL_STEPS
        )
        return "disk" if local else "store"

    @property
    def may_lose_a_party(self) -> bool:
        """A party that hangs past its deadline, or whose disk fails, is left out of a round."""
        lost = self.action == "hang" or (self.action == "error" and self.error == "disk")
        return self.point.side == "party" and lost

    def order(self, party: str) -> Order:
        """What is written for the processes of its run; after `KILL_BETWEEN`, when it needs a resume."""
        role = COORDINATOR if self.point.side == "coordinator" else party
        follows = 0 if self.resumed else None
        return Order(role, self.point.step, self.point.effect, self.when, self.action, self.error, follows)


CLOCK_CASES = tuple(
    Case(Point(side, WHOLE_RUN), "clock", when) for side in ("coordinator", "party") for when in CLOCKS
)


def sits_out(party: str, number: int) -> Order:
    """The party refuses its data in one round and says so in its receipt: nobody dies or is waited for."""
    return Order(party, "train_local", "", "before", "error", "refused", round=number)


KILL_BETWEEN = Order(COORDINATOR, "admit_updates", "create decision", "after", "kill")
"""After it the run is resumed, and the steps that only a resume takes are reached."""


def bundles(cases: Iterable[Case], size: int) -> list[tuple[Case, ...]]:
    """Cases that are played in one run, `size` of them at most: of one side and action.

    A party's session is started again three times a round, so no more than three are of it; and a party that
    may be lost is lost alone.
    """
    kinds: dict[tuple[object, ...], list[Case]] = {}
    for case in cases:
        kind = (case.point.side, case.action, case.may_lose_a_party, case.resumed)
        kinds.setdefault(kind, []).append(case)
    made = []
    for alike in kinds.values():
        most = 1 if alike[0].may_lose_a_party else min(size, 3) if alike[0].point.side == "party" else size
        made += [tuple(alike[n : n + most]) for n in range(0, len(alike), most)]
    return sorted(made, key=lambda bundle: bundle[0].point.rank)


def object_of(key: str) -> str:
    """What a key of the bucket holds, in a word."""
    for pattern, word in _OBJECTS:
        if found := pattern.search(key):
            return word or found[1]
    return key.rsplit("/", 1)[-1]
