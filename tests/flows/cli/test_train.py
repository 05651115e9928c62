"""What `fedcart train` refuses at once, and what the tables at the end of a training say."""

import json

import pytest

from flows.cli.train import show_parties
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
