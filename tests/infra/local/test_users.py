"""Who uses a stack, so that a command that started it does not stop it under somebody else."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fedmodels.errors import PrefectAway
from flows.cli.main import app
from infra.deployments.under_way import UnderWay
from infra.local import processes, stack, users
from infra.local.plan import Stack, write_stack
from infra.local.seaweedfs import StorePorts
from infra.locations import stack_folder

USE = """
import sys
from pathlib import Path
from infra.local.users import using
with using(Path(sys.argv[1]), "fedcart train of other-1"):
    print("using", flush=True)
    sys.stdin.read()
"""
TRAINING = UnderWay("federated-training · other-1", "other-1", trains=True)
SESSION = UnderWay("party-session · shop-a · other-1", "other-1", trains=False)
OWN = UnderWay("party-session · shop-a · own-1", "own-1", trains=False)


@pytest.fixture
def home(tmp_path):
    write_stack(Stack(tmp_path, "fedcart", ("shop-a",), 1, StorePorts(2, 3, 4, 5, 6)))
    return tmp_path


@pytest.fixture
def going(monkeypatch):
    found = []
    monkeypatch.setattr(users, "under_way", lambda _ids, api_url: list(found))
    monkeypatch.setattr(users.prefect_server, "answers", lambda _port: True)
    monkeypatch.setattr(users.processes, "flow_runs", lambda _stack: {"1": None, "2": None})
    return found


def test_a_command_counts_until_it_ends_however_it_does(home, going):
    with subprocess.Popen(
        [sys.executable, "-c", USE, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout.readline() == "using\n"
        assert users.users(home, (), ()) == ["fedcart train of other-1"]
        command.kill()
        command.wait(30)
        assert users.users(home, (), ()) == []
    with users.using(home, "mine"):
        assert users.users(home, (), ()) == ["mine"]
    assert users.users(home, (), ()) == []


def test_nothing_is_noted_where_there_is_no_stack(tmp_path):
    with users.using(tmp_path, "early"):
        assert list(tmp_path.iterdir()) == []


def test_runs_that_nobody_waits_for_count_and_those_of_the_asking_command_do_not(home, going):
    going += [TRAINING, OWN]
    assert users.users(home, ("1", "2"), ["own-1"]) == ["federated-training · other-1"]
    with users.using(home, "fedcart train of other-1"):
        assert users.users(home, ("1", "2"), ["own-1"]) == ["fedcart train of other-1"]


@pytest.mark.parametrize("answers", [False, True])
def test_what_the_server_cannot_name_holds_up_nobody(home, monkeypatch, answers):
    def away(_ids, api_url):
        assert answers, "a server that is gone is not asked for a minute"
        raise PrefectAway("The server does not answer")

    monkeypatch.setattr(users, "under_way", away)
    monkeypatch.setattr(users.prefect_server, "answers", lambda _port: answers)
    assert users.users(home, ("7",), ["own-1"]) == [], "it may be the caller's own"


def test_the_runs_that_a_stop_interrupts_are_named_once(home, going, tmp_path):
    going += [TRAINING, SESSION]
    assert users.runs_under_way(home) == ["other-1"]
    assert users.runs_under_way(tmp_path / "elsewhere") == []


def test_a_stack_in_use_is_left_as_it_is(home):
    folder = stack_folder(home)
    kept = processes.start(
        folder,
        "worker-shop-a",
        [sys.executable, "-c", "import time; time.sleep(600)"],
        role="shop-a",
        what="worker",
        log=home / "log",
        environment=dict(os.environ),
    )
    try:
        assert stack.down(home, patience=0.0, in_use=lambda going: going == ()) == ()
        assert kept.process is not None
        assert stack.down(home, patience=0.0) == ("worker-shop-a",)
        assert kept.process is None
    finally:
        processes.stop(processes.marked(folder), grace=1.0)


def test_the_measuring_command_is_measured_too(home):
    assert os.getpid() in stack.measured_ids(home)


def test_down_by_hand_names_the_runs_that_it_stops_and_how_they_go_on(home, going, monkeypatch):
    going.append(TRAINING)
    monkeypatch.setattr(stack, "down", lambda _home: ("store", "server"))
    variables = {"FEDCART_HOME": str(home)}
    told = json.loads(CliRunner().invoke(app, ["down", "--json"], env=variables).stdout)
    assert told == {"stopped": ["store", "server"], "interrupted": ["other-1"]}
    said = CliRunner().invoke(app, ["down"], env=variables).stdout
    assert "other-1 was under way; to go on, " in said
    assert said.endswith(" train --resume other-1\n")
