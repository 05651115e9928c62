"""Fault points cost nothing where no harness is: the functions are the very ones that were written."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedmodels.protocol.canonical import sha256_hex
from infra.deployments.starting import start_party_session
from infra.fault_points import HARNESS, fault_effect, fault_step
from infra.local.processes import MARKER
from infra.locations import stack_folder
from infra.object_store import ObjectStore
from tasks.coordinator.aggregating import aggregate
from tasks.models import adopt_model, forget_models
from tasks.party.joining import next_announcement
from tasks.party.training import train_local
from tasks.round_folder import open_round_folder
from tests.end_to_end.federation import REPOSITORY
from tests.faults import injection
from tests.faults.operator import Operator
from tests.faults.points import RESUMED, SCENES, SITS_OUT, TAKES_OVER, Case, Point, bundles, object_of
from tests.faults.report import document_of, uncovered_writes
from tests.faults.rows import Row
from tests.faults.runner import Lane, Runner, Stopped
from tests.faults.stack import Range
from tests.faults.written import writes_in_code

VERBS = ("read", "read_version", "exists", "create", "swap", "upload", "put_blob", "download", "read_blob")
POINTS = (
    *(getattr(ObjectStore, verb) for verb in VERBS),
    *(start_party_session, adopt_model, forget_models, open_round_folder, next_announcement),
)
HARNESSED = """
import inspect
from infra.object_store import ObjectStore
from tasks.party.training import train_local
assert ObjectStore.create.__wrapped__.__name__ == "create"
print(inspect.unwrap(train_local.fn, stop=lambda f: f.__code__.co_filename.endswith("injection.py")).__name__)
"""


def test_a_decorated_function_is_the_function():
    def some(value):
        return value

    assert fault_step(some) is some
    assert fault_effect(some) is some


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
def test_an_effect_has_no_wrapper(point):
    assert not hasattr(point, "__wrapped__")
    assert point.__code__.co_filename.endswith(f"{point.__module__.replace('.', '/')}.py")


@pytest.mark.parametrize(("task", "wrappers"), [(train_local, 2), (aggregate, 1)])
def test_a_task_has_no_wrapper_but_its_own(task, wrappers):
    function, found = task.fn, 0
    while inner := getattr(function, "__wrapped__", None):
        function, found = inner, found + 1
        assert "tests" not in Path(function.__code__.co_filename).parts[-3:]
    assert found == wrappers, "tagged, and sealed at a party"


def test_with_the_variable_they_are_wrapped():
    done = subprocess.run(
        [sys.executable, "-c", HARNESSED],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, HARNESS: "tests.faults.injection", "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "train_local"


def test_keys_have_names():
    assert object_of("coordinator/runs/r-1/HEAD.json") == "HEAD"
    assert object_of("parties/a/runs/r-1/rounds/0001/receipt.json") == "receipt"
    assert object_of("parties/a/blobs/00.safetensors") == "update"
    assert object_of("coordinator/blobs/00.safetensors") == "model"


def test_a_write_that_no_case_stands_at_is_listed():
    seen = Point("coordinator", "close_round", "create record"), Point("party", "train_local")
    assert uncovered_writes([], seen) == ["coordinator · close_round: create record"]
    assert uncovered_writes([Case(seen[0], "kill", "after")], seen) == []


def row_of(case, fired=True):
    return Row(case, fired, True, True, True, "", 0, 1.0, 1)


def test_writes_that_nobody_chose_are_no_gap():
    record, closed = (
        Point("coordinator", "close_round", "create record"),
        Point("coordinator", "c", "create closed"),
    )
    rows = [row_of(Case(record, "kill", "after"))]
    chosen = document_of(rows, [record, closed], 1.0, everything=False)
    assert (chosen["missed_writes"], chosen["writes_not_chosen"]) == ([], [f"coordinator · {closed}"])
    everything = document_of(rows, [record, closed], 1.0)
    assert (everything["missed_writes"], everything["writes_not_chosen"]) == (
        [f"coordinator · {closed}"],
        [],
    )
    missed = document_of([row_of(rows[0].case, fired=False)], [record], 1.0, everything=False)
    assert missed["missed_writes"] == [f"coordinator · {record}"], "chosen, and never reached"


OFF_THE_PATHS = {
    "coordinator · cancel_run: create closed",
    "coordinator · sweep: create sweep note",
    "coordinator · sweep: delete object",
    "party · decline: create lease",
    "party · decline: swap lease",
    "party · sit_out: create receipt",
}
PASSED = [
    Point("coordinator", "admit_updates", "create decision"),
    Point("coordinator", "close_run", "create closed"),
    Point("coordinator", "move_head", "swap HEAD"),
    Point("coordinator", "open_run", "put_blob architecture"),
    Point("coordinator", "publish", "upload model"),
    Point("coordinator", "resume_run", "swap HEAD"),
    Point("party", "evaluate_candidate", "create evaluation"),
    Point("party", "join_run", "swap lease"),
    Point("party", "submit_update", "upload update"),
]


def test_writes_that_no_run_passes_are_found_in_the_code_and_listed_as_uncovered():
    assert set(PASSED) <= writes_in_code(), "what runs pass bears the same names"
    document = document_of([row_of(Case(PASSED[0], "kill", "after"))], PASSED[:1], 1.0)
    assert document["missed_writes"] == []
    assert set(document["uncovered_writes"]) >= OFF_THE_PATHS
    assert f"coordinator · {PASSED[0]}" not in document["uncovered_writes"], "a case stood there"


def test_after_a_creation_it_is_the_content_that_stands_there_which_counts():
    ours, standing = {"key": "a/b", "sha256": sha256_hex(b"ours")}, b"of another one"
    assert injection._known_after("create", ours, standing)["sha256"] == sha256_hex(standing)
    assert injection._known_after("swap", ours, True) == ours
    assert injection._known_after("swap", ours, False)["sha256"] == "", "a swap that lost shows nothing"


class Shown:
    """A store that holds one object."""

    def __init__(self, content):
        self.content = content

    def holds(self, key, sha256):
        return self.content is not None and sha256_hex(self.content) == sha256

    def exists(self, key):
        return self.content is not None


@pytest.mark.parametrize(
    ("effect", "when", "content", "proved"),
    [
        ("swap HEAD", "after", b"new", True),
        ("swap HEAD", "after", b"old", False),
        ("swap HEAD", "before", b"old", True),
        ("swap HEAD", "before", b"new", False),
        ("create record", "before", None, True),
        ("create record", "before", b"old", False),
        ("create record", "after", None, False),
        ("delete record", "after", b"new", False),
        ("", "after", None, True),
    ],
)
def test_a_write_is_proved_by_its_content(tmp_path, effect, when, content, proved):
    marked = {MARKER: f"worker-coordinator@{stack_folder(tmp_path)}"}
    command = [sys.executable, "-c", "print(flush=True); input()"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=marked)
    child.stdout.readline()  # before it runs, Linux may show a process without its environment
    marker = {"effect": effect, "when": when, "pid": child.pid, "role": "coordinator", "clock": time.time()}
    marker |= {"key": "a/record.json", "sha256": sha256_hex(b"new"), "follows": None, "step": "close_round"}
    operator = object.__new__(Operator)
    operator._store, operator._place = Shown(content), Range(tmp_path, tmp_path, None, None, {})
    try:
        assert operator._proved(marker) is proved
        if when == "before":
            assert operator._proved(marker | {"step": "publish"}), "what is put again stands already"
        assert not operator._proved(marker | {"pid": os.getpid()}), "a process that is none of the stack's"
        assert not operator._proved(marker | {"clock": time.time() + 3600})
    finally:
        child.communicate(b"\n")
    assert not operator._proved(marker), "the process is gone"


def test_a_party_may_be_lost_by_hanging_and_by_its_disk_only():
    point = Point("party", "submit_update", "create receipt")
    assert [Case(point, action, "before").may_lose_a_party for action in ("kill", "hang", "error")] == [
        False,
        True,
        False,
    ]
    assert Case(Point("party", "validate_data"), "error", "before").may_lose_a_party
    assert not Case(Point("coordinator", "fine_tune"), "error", "before").may_lose_a_party


def test_cases_that_share_a_run_are_of_one_kind():
    here = [Case(Point("coordinator", f"step{n}"), "kill", "before") for n in range(5)]
    there = [
        Case(Point("party", f"step{n}"), action, "after") for n in range(4) for action in ("kill", "hang")
    ]
    found = bundles([*here, *there], 4)
    assert sorted(map(len, found)) == [1, 1, 1, 1, 1, 1, 3, 4]
    assert sorted(case.name for bundle in found for case in bundle) == sorted(c.name for c in [*here, *there])
    assert all(len({(case.point.side, case.action) for case in bundle}) == 1 for bundle in found)


@pytest.mark.parametrize("scene", SCENES)
def test_a_fault_in_a_scene_comes_after_the_scene_s_own(scene):
    case = Case(Point("party", "some_step"), "kill", "before", scene)
    first, second = *scene.orders("shop-a"), case.order("shop-a")
    assert first.role in ("coordinator", "shop-a")
    assert (first.follows, second.follows) == (None, 0)
    assert Case(case.point, "kill", "before").order("shop-a").follows is None
    assert case.name == Case(case.point, "kill", "before").name


def test_whether_a_party_may_be_left_out_depends_on_the_scene():
    point = Point("party", "sit_out", "create receipt")
    counted = {scene: Case(point, "kill", "after", scene).counts_what_it_counts for scene in (None, *SCENES)}
    assert (counted[None], counted[SITS_OUT], counted[TAKES_OVER], counted[RESUMED]) == (0, 1, 0, 0)


def test_in_scenes_of_a_party_each_case_has_its_own_run():
    cases = [Case(Point("party", f"step{n}"), "kill", "after", TAKES_OVER) for n in range(3)]
    assert [len(bundle) for bundle in bundles(cases, 3)] == [1, 1, 1]


def test_a_campaign_that_is_stopped_begins_no_case():
    runner = Runner(place=None, lanes=[Lane(11)])
    runner.stopping.set()
    assert runner.play_all([Case(Point("party", "some_step"), "kill", "after")]) == []


def test_a_campaign_that_is_stopped_tells_what_was_played(monkeypatch):
    runner = Runner(place=None, lanes=[Lane(11)])
    cases = [Case(Point("party", f"step{n}"), "kill", "after") for n in range(3)]

    def play(bundle, _lane):
        if bundle[0] == cases[1]:
            runner.stopping.set()  # as the signal's handler does, while this run is under way
            raise Stopped
        return [row_of(bundle[0])]

    monkeypatch.setattr(runner, "play", play)
    assert [row.case for row in runner.play_all(cases)] == cases[:1]
