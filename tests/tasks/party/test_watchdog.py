"""A step whose time is over: it stops by itself, or the kernel ends its process."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from fedmodels.errors import TrainingFailed
from flows.recipes import load_recipe
from tasks.party import data, evaluation, joining, submission, training
from tasks.party.pinned import pin_version
from tasks.party.training import protect_update, stop_asked, train_local
from tasks.party.watchdog import MARGIN_S, ended_by_kernel
from tests.fedmodels.protocol.builders import announcement, candidate


@pytest.fixture(autouse=True)
def no_other_alarm():
    """pytest-timeout's is set again afterwards."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
    yield
    signal.setitimer(signal.ITIMER_REAL, left)


HANGS = {
    "in a call that waits": "import os; os.mkfifo(sys.argv[1]); open(sys.argv[1])",
    "in a call that keeps the interpreter's lock": "import re; re.match('(a+)+$', 'a' * 64 + 'b')",
}
GUARDED = """
import sys
from tasks.party import watchdog
watchdog.MARGIN_S = 0.0
with watchdog.ended_by_kernel(0.5):
    {hang}
print("got out")
"""


@pytest.mark.parametrize("hang", HANGS.values(), ids=HANGS)
def test_a_process_that_hangs_is_ended(tmp_path, hang):
    code = GUARDED.format(hang=hang)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "fifo")], timeout=60, check=False)
    assert done.returncode == -signal.SIGALRM


def test_what_is_done_in_time_is_left_alone():
    with ended_by_kernel(20.0):
        assert 20.0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 20.0 + MARGIN_S
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_inside_another_block_the_nearer_alarm_counts_and_the_outer_one_goes_on():
    def left():
        return signal.getitimer(signal.ITIMER_REAL)[0]

    with ended_by_kernel(20.0):
        with ended_by_kernel(5.0):
            assert 5.0 < left() <= 5.0 + MARGIN_S
        assert 20.0 < left() <= 20.0 + MARGIN_S
        with ended_by_kernel(500.0):
            assert 20.0 < left() <= 20.0 + MARGIN_S
    assert left() == 0.0


class Spy:
    """A session that notes the alarm when a step first asks it for more than its plan, and fails then."""

    party, run, joined_plan = "shop-a", "run-1", SimpleNamespace(recipe=load_recipe("reviews"))

    def __init__(self, folder, **known):
        self.folder, self.seconds, self.alarm = folder, {}, None
        vars(self).update(known)

    def __getattr__(self, name):
        if self.alarm is None:
            self.alarm = signal.getitimer(signal.ITIMER_REAL)[0]
        raise TrainingFailed(f"There is no {name}")


ROUND, PREPARING, SCORING = 600.0, 600.0, 240.0
"""Limits by the recipe `reviews`."""


@pytest.mark.parametrize(
    ("step", "limit", "arguments"),
    [
        (joining.load_model.fn, PREPARING, ()),
        (data.check_expectations.fn, PREPARING, ()),
        (data.prepare_data.fn, PREPARING, ()),
        (data.validate_data.fn, PREPARING, ()),
        (data.keep_trained_rows.fn, PREPARING, ()),
        (pin_version.fn, PREPARING, ()),
        (data.data_changed, ROUND, ()),
        (data.let_old_rows_go, ROUND, ()),
        (train_local.fn, ROUND, (announcement(),)),
        (protect_update.fn, ROUND, (announcement(),)),
        (submission.submit_update.fn, ROUND, (announcement(), {}, {"sha256": ""}, "session")),
        (submission.sit_out.fn, ROUND, (announcement(), TrainingFailed("It failed"), "session")),
        (evaluation.evaluate_candidate.fn, SCORING, (candidate(),)),
    ],
    ids=lambda value: getattr(value, "__name__", "x"),
)
def test_each_step_that_may_hang_has_an_alarm_and_leaves_none(tmp_path, step, limit, arguments):
    known = {"workbench": object(), "prepared": object()} if step is train_local.fn else {}
    session = Spy(tmp_path, **known)
    with pytest.raises(TrainingFailed):
        step(session, *arguments)
    assert session.alarm is not None
    assert limit < session.alarm <= limit + MARGIN_S
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


class AlarmsOfBench:
    """A workbench that notes the alarm under which each of its calls stands."""

    def __init__(self):
        self.alarms = {}

    def note(self, name):
        self.alarms[name], _ = signal.getitimer(signal.ITIMER_REAL)

    def load(self, *_arguments):
        self.note("load")

    def train(self, *_arguments, **_options):
        self.note("train")
        return SimpleNamespace(steps=1, num_examples=1, loss=None, compute=())

    def write(self, _path):
        self.note("write")


def test_fetching_training_and_writing_each_have_an_alarm_of_their_own(tmp_path, monkeypatch):
    """A GPU is waited for between them, so that no one alarm can span the step."""
    recipe = load_recipe("reviews").model_copy(update={"train_timeout": 90.0})
    monkeypatch.setattr(training, "fetch_model", lambda *_arguments: (tmp_path, 0))
    monkeypatch.setattr(training, "get_run_logger", lambda: None)
    bench = AlarmsOfBench()
    session = SimpleNamespace(
        party="shop-a",
        run="run-1",
        joined_plan=SimpleNamespace(recipe=recipe),
        workbench=bench,
        prepared=SimpleNamespace(train=()),
        store=None,
        models=tmp_path,
        workspace=tmp_path,
        folder=tmp_path,
        round_folder=lambda _number: tmp_path,
        seconds={},
        compute=[],
        bytes_down=0,
    )
    train_local.fn(session, announcement())
    for call, limit in {"load": ROUND, "train": 90.0, "write": ROUND}.items():
        assert limit < bench.alarms[call] <= limit + MARGIN_S, call
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("train_timeout", "name", "limit"), [(60.0, "train_timeout", 60), (None, "round_timeout", 90)]
)
def test_a_training_that_takes_too_long_stops_at_its_next_step(monkeypatch, train_timeout, name, limit):
    recipe = load_recipe("reviews").model_copy(update={"train_timeout": train_timeout, "round_timeout": 90.0})
    session = SimpleNamespace(party="shop-a", joined_plan=SimpleNamespace(recipe=recipe))
    stop = stop_asked(session, lambda: False)
    assert stop() is False
    later = time.monotonic() + limit + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    with pytest.raises(TrainingFailed, match=f"more than {name}, which is {limit} s") as caught:
        stop()
    assert caught.value.code == "train-timeout"
