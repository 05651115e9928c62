"""What decides a round: the same model twice, a gate that refuses, a party or coordinator that dies."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from fedmodels.errors import TRAINING_CANCELLED
from fedmodels.protocol.messages import Announcement, Closed, Decision, Head, Receipt, Session, Signed
from flows.following import api_url, coordinator_store
from infra.deployments.observing import first_said
from infra.deployments.starting import cancel, find_training
from infra.layout import closed_key, head_key, receipt_key, round_key, session_key
from infra.waiting import wait_for
from tasks.exchange import read_message
from tasks.party.training import FIRST_STEP
from tasks.reading import list_runs
from tasks.verifying.run import verify_run
from tests.end_to_end.federation import (
    PARTIES,
    Federation,
    flow_runs,
    kill_flow_runs,
    sentences,
    write_csv,
)

LONG_ROWS = 4000
"""A step for each, and a hundred epochs of them, are far more than a test waits for on any machine."""
SOUND = {"ok", "not recomputable: fine-tuned"}
"""Verdicts of a run in which nothing was changed."""


def test_the_same_recipe_data_and_seed_give_the_same_model(federation, plain):
    """One party's table is another by then: it trains on the version that it kept."""
    table = federation.private / f"{PARTIES[0]}.csv"
    then = table.read_bytes()
    write_csv(table, sentences("others", 40))
    try:
        told = federation.document("reproduce", plain["run_id"], "--run", "plain-2")
    finally:
        table.write_bytes(then)
    assert (told["equal"], told["first_difference"], told["environment"]) == (True, None, [])
    assert told["model_sha256"]["then"] == plain["model_sha256"]
    again = federation.document("runs", "show", "plain-2")
    assert again["model_sha256"] == plain["model_sha256"]
    assert [row["metrics"] for row in again["rounds"]] == [row["metrics"] for row in plain["rounds"]]


def test_a_run_of_the_real_coordinator_and_parties_verifies(federation, plain):
    told = federation.document("runs", "verify", plain["run_id"])
    assert told["passed"] is True
    details = {row["object"]: row for row in told["objects"]}
    assert {row["verdict"] for row in told["objects"]} <= {"ok", "not recomputable: fine-tuned"}
    assert "6 receipts state its hash" in details["coordinator/runs/plain-1/plan.json"]["detail"]
    for number in (1, 2, 3):
        assert details[f"average of round {number}"]["verdict"] == "ok"


def test_a_killed_coordinator_resumes_and_counts_nothing_twice(federation, plain):
    recipe = federation.recipe("plain", num_rounds=3, min_available_parties=2)
    run, store = "plain-3", coordinator_store(federation.home)
    training = federation.begin("train", "--recipe", str(recipe), "--run", run, "--json")
    announced = wait_for(
        lambda: read_message(store, round_key(run, 2, "announcement"), Announcement), timeout=240
    )
    assert announced is not None
    kill_flow_runs(federation, "coordinator", run)
    _, complaint = training.communicate(timeout=240)
    assert training.returncode != 0
    assert "fedcart train --resume plain-3" in complaint
    before = read_message(store, head_key(run), Head)
    resumed = federation.document("train", "--resume", run)
    after = read_message(store, head_key(run), Head)
    assert resumed["model_sha256"] == plain["model_sha256"]
    assert [row["round"] for row in resumed["rounds"]] == [1, 2, 3]
    assert after.epoch == before.epoch + 1
    refused = federation.call("train", "--resume", run)
    assert refused.returncode != 0
    assert "finished and cannot be resumed" in refused.stderr


def test_the_demonstration_kills_its_coordinator_and_ends_with_the_same_model(federation, plain):
    recipe = federation.recipe("plain", num_rounds=3, min_available_parties=2)
    told = federation.document("demo", "--recipe", str(recipe), "--kill-coordinator")
    assert told["model_sha256"] == plain["model_sha256"]
    assert [row["round"] for row in told["rounds"]] == [1, 2, 3]
    killed = told["killed"]
    assert killed["round"] in (2, 3), "rounds of a toy are short"
    assert not psutil.pid_exists(killed["pid"])
    assert killed["seconds_to_resume"] >= 0
    assert killed["seconds_to_first_task"] > 0
    head = read_message(coordinator_store(federation.home), head_key(told["run_id"]), Head)
    assert head.epoch == 2, "the run was resumed, and not just slow"
    assert federation.document("status")["state"] == "up", "a stack that was up before is left up"


def test_a_gate_that_refuses_leaves_the_model_where_it_was(federation):
    recipe = federation.recipe(
        "strict",
        gate={"max_loss": 1e-6},
        fine_tuning={"learning_rate": 50.0},
        key_metric="loss",
        max_failed_rounds=1,
    )
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    done = federation.call("train", "--recipe", str(recipe), "--run", "strict-1")
    assert done.returncode != 0
    assert "too-many-failed-rounds" in done.stderr
    assert "Traceback" not in done.stderr
    shown = federation.document("runs", "show", "strict-1")
    assert shown["status"] == "failed"
    assert [row["outcome"] for row in shown["rounds"]] == ["gate-refused", "gate-refused"]
    assert "above max_loss" in " ".join(shown["rounds"][0]["gate"]["reasons"])
    assert shown["rounds"][0]["fine_tuning"]["kept"] is False
    head = read_message(coordinator_store(federation.home), head_key("strict-1"), Head)
    assert (head.passed_rounds, head.failed_rounds, head.best_round) == (0, 2, 0)


def test_whoever_spoils_a_round_is_left_out_of_the_next_ones(federation):
    """The third shop's labels are damaged; with it the loss stays above what the gate allows."""
    damaged = {"1": "3", "2": "1", "3": "2"}
    rows = [(text, damaged[label]) for text, label in sentences("shop-c", 270)]
    tables = {party: {"train": str(federation.private / f"{party}.csv")} for party in PARTIES[:2]}
    tables["shop-c"] = {"train": str(write_csv(federation.private / "damaged.csv", rows))}
    recipe = federation.recipe(
        "damaged",
        data={"parties": tables, "coordinator": {"table": str(federation.own)}},
        local={"epochs": 6, "batch_size": 16, "learning_rate": 0.01},
        fine_tuning=None,
        gate={"max_loss": 1.5, "max_metric_drop": None, "max_party_drop": None, "max_loss_ratio": None}
        | {"after_refusal": "drop"},
    )
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    done = federation.document("train", "--recipe", str(recipe), "--run", "damaged-1")
    assert [row["outcome"] for row in done["rounds"]] == ["gate-refused", "passed", "passed"]
    assert [row["dropped"] for row in done["rounds"]] == ["shop-c", None, None]
    assert [row["accepted"] for row in done["rounds"]] == [list(PARTIES), *[list(PARTIES[:2])] * 2]
    shown = federation.call("runs", "show", "damaged-1")
    assert "shop-c contributed worst" in shown.stdout
    assert federation.call("runs", "verify", "damaged-1").returncode == 0


def test_a_run_that_gets_no_better_stops_early_and_keeps_its_best_model(federation):
    """Updates clipped to nothing move no score, so the first round stays the best one."""
    recipe = federation.recipe(
        "stale-scores",
        num_rounds=5,
        update={"clipping_norm": 1e-6},
        early_stopping={"patience": 1},
        gate=dict.fromkeys(("max_metric_drop", "max_party_drop", "max_loss_ratio", "max_norm_ratio")),
    )
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    done = federation.document("train", "--recipe", str(recipe), "--run", "early-1")
    assert [row["outcome"] for row in done["rounds"]] == ["passed", "passed"]
    assert "no better" in done["reason"]
    head = read_message(coordinator_store(federation.home), head_key("early-1"), Head)
    assert head.best_round == 1
    assert done["model_sha256"] == head.best_model_sha256 != head.model_sha256


def test_a_party_that_dies_is_started_again_and_takes_part(federation):
    store = coordinator_store(federation.home)
    training = _begin_lossy(federation, "lossy-1", grace=120.0, round_timeout=240.0)
    assert store.read(receipt_key("shop-c", "lossy-1", 1)) is None
    kill_flow_runs(federation, "shop-c", "lossy-1")
    _, complaint = training.communicate(timeout=280)
    assert training.returncode == 0, complaint
    shown = federation.document("runs", "show", "lossy-1")
    assert shown["rounds"][0]["accepted"] == ["shop-a", "shop-b", "shop-c"]
    assert shown["rounds"][0]["refused"] == []


def test_a_party_that_dies_every_time_is_named_and_the_others_go_on(federation):
    training = _begin_lossy(federation, "lossy-2", grace=200.0, round_timeout=240.0)

    def killed_until_over() -> bool:
        for process in flow_runs(federation, "shop-c", "lossy-2"):
            process.kill()
        return training.poll() is not None

    assert wait_for(killed_until_over, timeout=270)
    _, complaint = training.communicate()
    assert training.returncode == 0, complaint
    shown = federation.document("runs", "show", "lossy-2")
    assert shown["rounds"][0]["accepted"] == ["shop-a", "shop-b"]
    assert shown["rounds"][0]["refused"] == [{"party": "shop-c", "code": "session-died"}]


def test_a_late_update_counts_in_the_next_round_for_less(federation):
    """The third party has more rows than the others and is late by some of their training time."""
    big = write_csv(federation.private / "big.csv", sentences("shop-c", 170))
    parties = {party: {"train": str(federation.private / f"{party}.csv")} for party in PARTIES[:2]}
    recipe = federation.recipe(
        "stale",
        data={
            "parties": {**parties, "shop-c": {"train": str(big)}},
            "coordinator": {"table": str(federation.own)},
        },
        local={"epochs": 40, "batch_size": 4},
        grace=0.0,
        salvage={"exponent": 1.0},
    )
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    done = federation.document("train", "--recipe", str(recipe), "--run", "stale-1")
    assert done["rounds"][0]["refused"] == [{"party": "shop-c", "code": "late"}]
    assert done["rounds"][1]["accepted"] == ["shop-a", "shop-b", "shop-c"]
    decision = read_message(coordinator_store(federation.home), round_key("stale-1", 2, "decision"), Decision)
    salvaged = decision.accepted[2]
    assert (salvaged.party, salvaged.round, salvaged.discount) == ("shop-c", 1, 0.5)
    assert sum(update.weight for update in decision.accepted) == pytest.approx(1.0)


@pytest.mark.parametrize(("run", "by_prefect"), [("lossy-3", False), ("lossy-4", True)])
def test_a_cancelled_run_stops_within_seconds_and_head_stays(federation, run, by_prefect):
    """One party has so many steps to do that it would be at them when this test has given up."""
    store, server = coordinator_store(federation.home), api_url(federation.home)
    big = write_csv(federation.private / "long.csv", sentences("shop-a", LONG_ROWS))
    training = _begin_lossy(federation, run, grace=30.0, epochs=100, batch_size=1, tables={"shop-a": big})
    sessions = [read_message(store, session_key("shop-a", run), Session).session]
    assert wait_for(lambda: first_said(sessions, FIRST_STEP, api_url=server), timeout=120)
    before = read_message(store, head_key(run), Head)
    if by_prefect:
        cancel(find_training(run, api_url=server), api_url=server)
        assert wait_for(lambda: read_message(store, closed_key(run), Closed), timeout=120)
    else:
        assert federation.call("runs", "cancel", run).returncode == 0
    for role in ("coordinator", "shop-a"):
        assert wait_for(lambda role=role: not flow_runs(federation, role, run), timeout=90)
    left = Signed.model_validate_json(store.read(receipt_key("shop-a", run, 1)))
    assert Receipt.model_validate_json(left.payload).refusal == TRAINING_CANCELLED
    output, complaint = training.communicate(timeout=120)
    assert training.returncode == 0, complaint
    assert json.loads(output)["status"] == "cancelled"
    assert read_message(store, head_key(run), Head) == before


def test_whatever_happened_to_them_all_runs_verify(federation, plain, tmp_path):
    """Killed and resumed, refused, salvaged, cancelled: what the tests above left in the bucket."""
    told = federation.document("runs", "verify", plain["run_id"])
    assert {row["verdict"] for row in told["objects"]} <= SOUND
    store = coordinator_store(federation.home)
    findings = {run: verify_run(store, run, tmp_path).findings for run in list_runs(store)}
    broken = {run: [item for item in found if item.verdict not in SOUND] for run, found in findings.items()}
    assert len(broken) > 1 and not any(broken.values()), broken


def _begin_lossy(
    federation: Federation,
    run: str,
    epochs: int = 30,
    batch_size: int = 4,
    tables: dict[str, Path] | None = None,
    **changes,
) -> subprocess.Popen:
    """Begin a run of one round with three parties, of which two suffice; return when it is announced.

    Args:
        tables: party to its table, where that is not the usual one.
    """
    files = {party: federation.private / f"{party}.csv" for party in PARTIES} | (tables or {})
    data = {
        "parties": {party: {"train": str(file)} for party, file in files.items()},
        "coordinator": {"table": str(federation.own)},
    }
    changes |= {"data": data, "num_rounds": 1, "local": {"epochs": epochs, "batch_size": batch_size}}
    recipe = federation.recipe("lossy", **changes)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    store = coordinator_store(federation.home)
    training = federation.begin("train", "--recipe", str(recipe), "--run", run, "--json")
    announced = wait_for(
        lambda: read_message(store, round_key(run, 1, "announcement"), Announcement), timeout=240
    )
    assert announced is not None
    return training
