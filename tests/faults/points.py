"""What can be hit, in which way, and what has to come of it."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
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
class Scene:
    """What has happened in a run when a case's fault comes, so that steps are taken which else are not."""

    first: Order
    """Obeyed once; where its role is empty, by the party that the case is about."""
    loses_a_party: bool = False
    """Whether a round may be decided without that party."""
    resumes: int = 0

    def orders(self, party: str) -> list[Order]:
        return [replace(self.first, role=self.first.role or party)]


def sits_out(party: str, number: int) -> Order:
    """The party refuses its data in one round and says so in its receipt: nobody dies or is waited for."""
    return Order(party, "train_local", "", "before", "error", "refused", round=number)


RESUMED = Scene(Order(COORDINATOR, "admit_updates", "create decision", "after", "kill"), resumes=1)
"""The coordinator was killed, and the steps that only a resume takes are reached."""
SITS_OUT = Scene(sits_out("", 1), loses_a_party=True)
FORBIDS = Scene(Order("", "join_run", "", "before", "error", "refused"), loses_a_party=True)
"""The party declines the run before it has the lease, as one whose policy forbids it does."""
CANNOT_LOAD = Scene(Order("", "load_model", "", "before", "error", "refused"), loses_a_party=True)
"""The party has taken the lease when it finds that it must decline."""
TAKES_OVER = Scene(Order("", "train_local", "", "before", "kill", round=1))
"""A session died; the one that comes after it takes the lease from it."""
SCENES = (RESUMED, SITS_OUT, FORBIDS, CANNOT_LOAD, TAKES_OVER)


@dataclass(frozen=True)
class Case:
    """One run with one fault, in a scene or without."""

    point: Point
    action: Action
    when: When
    scene: Scene | None = None

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

    @property
    def counts_what_it_counts(self) -> bool:
        """Whether it is compared with a run in which the same parties count, whichever these are."""
        return self.may_lose_a_party or (self.scene is not None and self.scene.loses_a_party)

    @property
    def alone(self) -> bool:
        """Whether no other case may share its run: a party's rounds and restarts are counted."""
        return self.may_lose_a_party or self.scene not in (None, RESUMED)

    def order(self, party: str) -> Order:
        """What is written for the processes of its run; after its scene's own order."""
        role = COORDINATOR if self.point.side == "coordinator" else party
        follows = 0 if self.scene else None
        return Order(role, self.point.step, self.point.effect, self.when, self.action, self.error, follows)


CLOCK_CASES = tuple(
    Case(Point(side, WHOLE_RUN), "clock", when) for side in ("coordinator", "party") for when in CLOCKS
)


def bundles(cases: Iterable[Case], size: int) -> list[tuple[Case, ...]]:
    """Cases that are played in one run, `size` of them at most: of one side, action and scene.

    A party's session is started again three times a round, so no more than three are of it; and a party that
    may be lost is lost alone.
    """
    kinds: dict[tuple[object, ...], list[Case]] = {}
    for case in cases:
        kind = (case.point.side, case.action, case.alone, case.scene)
        kinds.setdefault(kind, []).append(case)
    made = []
    for alike in kinds.values():
        most = 1 if alike[0].alone else min(size, 3) if alike[0].point.side == "party" else size
        made += [tuple(alike[n : n + most]) for n in range(0, len(alike), most)]
    return sorted(made, key=lambda bundle: bundle[0].point.rank)


def object_of(key: str) -> str:
    """What a key of the bucket holds, in a word."""
    for pattern, word in _OBJECTS:
        if found := pattern.search(key):
            return word or found[1]
    return key.rsplit("/", 1)[-1]
