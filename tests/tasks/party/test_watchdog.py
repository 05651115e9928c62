"""A step whose time is over: it stops by itself, or the kernel ends its process."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from fedmodels.errors import TrainingFailed
from flows.recipes import load_recipe
from tasks.party.training import stop_asked
from tasks.party.watchdog import MARGIN_S, ended_by_kernel

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
