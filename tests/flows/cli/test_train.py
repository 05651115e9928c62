"""What `fedcart train` refuses at once, and what the tables at the end of a training say."""

import json
from inspect import signature

import pytest

from flows.cli.train import show_parties
from flows.federated_training import federated_training
from infra.deployments.declaration import COORDINATOR, TRAINING_FLOW
from tests.flows.cli.in_process import call_main

ROUND = {
    "round": 3,
    "parties": {
        party: {"num_examples": 300, "train_loss": 0.25, "metrics": {"accuracy": 0.917}}
        for party in ("camera-shop", "dvd-shop", "music-shop")
    },
}
ALONE = {"camera-shop": {"accuracy": 0.812}, "dvd-shop": {"accuracy": 0.874}, "music-shop": None}


def cells(printed: str, party: str) -> list[str]:
    return next(line.split() for line in printed.splitlines() if party in line)


def test_what_federation_brought_a_party_is_a_difference_on_one_set(capsys):
    show_parties(ROUND, ALONE, {"accuracy": 0.862})
    printed = capsys.readouterr().out
    assert cells(printed, "camera-shop") == ["camera-shop", "300", "0.250", "0.917", "0.812", "+0.050"]
    assert cells(printed, "dvd-shop")[-2:] == ["0.874", "-0.012"]
    assert cells(printed, "music-shop")[-2:] == ["–", "–"]
    assert "both on the coordinator's holdout" in printed


def test_without_a_kept_model_there_is_no_difference(capsys):
    show_parties(ROUND, ALONE, None)
    assert cells(capsys.readouterr().out, "camera-shop")[-2:] == ["0.812", "–"]


@pytest.mark.parametrize("final", [None, {"accuracy": 0.862}])
def test_without_baselines_nothing_is_compared(capsys, final):
    show_parties(ROUND, {}, final)
    printed = capsys.readouterr().out
    assert cells(printed, "dvd-shop") == ["dvd-shop", "300", "0.250", "0.917"]
    assert "gain" not in printed


@pytest.mark.parametrize("option", ["--run", "--resume"])
@pytest.mark.parametrize("name", ["", "Not an id"])
def test_an_id_that_is_none_is_refused_and_no_run_begins(monkeypatch, capsys, tmp_path, option, name):
    done = call_main(monkeypatch, capsys, ["train", option, name, "--json"], FEDCART_HOME=str(tmp_path))
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "id-invalid"
    assert not list(tmp_path.iterdir())


def test_a_resume_under_another_id_is_refused(monkeypatch, capsys, tmp_path):
    options = ["--resume", "begun-1", "--run", "other-1", "--json"]
    done = call_main(monkeypatch, capsys, ["train", *options], FEDCART_HOME=str(tmp_path))
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "options-conflict"
    assert "leave --run out" in error["message"]


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (["--recipe", "smoke"], "-p recipe=smoke -p run=RUN."),
        (["--resume", "begun-1"], "-p recipe=RECIPE -p run=begun-1 -p resume=true."),
    ],
)
def test_without_a_stack_here_it_says_how_a_run_is_begun_at_one_elsewhere(
    monkeypatch, capsys, tmp_path, options, given
):
    elsewhere = {"FEDCART_HOME": str(tmp_path), "FEDCART_S3_ENDPOINT": "http://store.example:8333"}
    done = call_main(monkeypatch, capsys, ["train", *options, "--json"], **elsewhere)
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "stack-elsewhere"
    assert "the settings name a store elsewhere; there, run fedcart deploy --recipe " in error["message"]
    assert error["message"].endswith(f"prefect deployment run federated-training/coordinator {given}")
    assert not list(tmp_path.iterdir())


def test_without_a_stack_or_a_store_elsewhere_one_is_to_be_started(monkeypatch, capsys, tmp_path):
    done = call_main(monkeypatch, capsys, ["train", "--json"], FEDCART_HOME=str(tmp_path))
    assert json.loads(done.stdout)["error"]["code"] == "stack-missing"


def test_the_flow_takes_what_that_sentence_names():
    assert {"recipe", "run", "resume"} <= signature(federated_training.fn).parameters.keys()
    assert f"{TRAINING_FLOW}/{COORDINATOR}" == "federated-training/coordinator"
