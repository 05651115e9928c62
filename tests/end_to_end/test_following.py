"""Whoever stops watching a run is told that it goes on, and can watch it again to its end."""

import json
import signal

from fedmodels.protocol.messages import Announcement
from flows.following import coordinator_store
from infra.layout import round_key
from infra.waiting import wait_for
from tasks.exchange import read_message


def test_an_interrupted_command_leaves_a_run_that_can_be_followed(federation):
    recipe = federation.recipe("watched", num_rounds=4)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    store = coordinator_store(federation.home)
    training = federation.begin("train", "--recipe", str(recipe), "--run", "watched-1", "--json")
    announced = wait_for(
        lambda: read_message(store, round_key("watched-1", 1, "announcement"), Announcement), timeout=240
    )
    assert announced is not None
    training.send_signal(signal.SIGTERM)
    printed, said = training.communicate(timeout=60)
    assert training.returncode == 130
    for told in (json.loads(printed)["error"]["message"], " ".join(said.split())):
        assert "The run watched-1 goes on in the workers" in told
        assert "fedcart runs follow watched-1" in told
        assert "fedcart runs cancel watched-1" in told
    assert "Traceback" not in said

    followed = federation.document("runs", "follow", "watched-1")
    assert followed["status"] == "finished"
    assert [row["round"] for row in followed["rounds"]] == [1, 2, 3, 4]

    again = federation.call("runs", "follow", "watched-1")
    assert again.returncode == 0, again.stderr
    assert "watched-1: rounds, scored on the coordinator's validation set" in again.stdout
    assert "finished: 4 of 4 rounds passed" in again.stdout


def test_a_run_that_nobody_knows(federation):
    refused = federation.call("runs", "follow", "no-such-run", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["code"] == "run-unknown"
