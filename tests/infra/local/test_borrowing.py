"""The store that commands borrow from a stack that is down: the last one stops it, unless a stack came up."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from infra.local import processes, stack
from infra.local.borrowers import any_left, enter
from infra.locations import stack_folder
from tests.store_alone import store_alone

BORROW = """
import sys, time
from pathlib import Path
from infra.local.stack import borrowed_store
with borrowed_store(Path(sys.argv[1])):
    print("borrowed", flush=True)
    time.sleep(600)
"""
WORK = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture(scope="module")
def down(tmp_path_factory):
    """The home of a stack that is down."""
    with store_alone(tmp_path_factory.mktemp("home"), ("shop-a", "shop-b")) as home:
        stack.down(home)
        yield home


@pytest.fixture
def home(down):
    yield down
    stack.down(down)


def runs(home) -> bool:
    return stack.STORE in stack.living_parts(home)


def begin(home, name):
    """A process of the stack that stands for its server, or a worker."""
    log = home / f"{name}.log"
    folder = stack_folder(home)
    return processes.start(folder, name, WORK, role="all", what=name, log=log, environment=dict(os.environ))


def test_the_last_borrower_stops_it_whoever_started_it(home):
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(stack.borrowed_store(home))
        second.enter_context(stack.borrowed_store(home))
        first.close()
        assert runs(home)
        second.close()
        assert not runs(home)
    assert list(stack_folder(home).rglob("*.lock")) == []


def test_a_borrower_in_a_borrower_takes_nothing_away(home):
    with stack.borrowed_store(home):
        with stack.borrowed_store(home):
            pass
        assert runs(home)
    assert not runs(home)


@pytest.mark.parametrize("name", ["server", "worker-shop-a"])
def test_a_stack_that_came_up_meanwhile_keeps_it(home, name):
    with stack.borrowed_store(home):
        assert not stack.stands(home)
        begin(home, name)
        assert stack.stands(home)
    assert runs(home)


def test_who_was_killed_borrows_no_more_and_the_next_one_stops_what_it_started(home):
    killed = subprocess.Popen([sys.executable, "-c", BORROW, home], stdout=subprocess.PIPE)
    assert killed.stdout.readline() == b"borrowed\n"
    with stack.borrowed_store(home):
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert runs(home)
    assert not runs(home)


def test_a_store_that_was_started_for_itself_is_left(home):
    assert stack.start_store(home)
    with stack.borrowed_store(home):
        pass
    assert runs(home)


def test_a_failed_start_leaves_no_borrower(home, monkeypatch):
    monkeypatch.setattr(stack, "_start_store", lambda _home: 1 / 0)
    with pytest.raises(ZeroDivisionError), stack.borrowed_store(home):
        pass
    assert not any_left(stack_folder(home))


def test_files_of_who_has_gone_are_removed(tmp_path):
    slip = enter(tmp_path)
    assert any_left(tmp_path)
    slip.close()  # as the system does with who was killed
    assert not any_left(tmp_path)
    assert list(tmp_path.rglob("*.lock")) == []
