"""A user's own tables, of three classes, train with one command; counts and an update leave a party."""

import json
import sqlite3
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fedmodels.errors import StoreRefused
from flows.following import coordinator_store
from infra.locations import role_settings
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from infra.waiting import wait_for
from tests.end_to_end.federation import CLASSES, Federation, sentences, write_csv

MEASURED = {
    *("run_id", "recipe", "parties", "model_sha256", "status", "final", "seconds", "peak_pss_mb", "rounds"),
}
OF_A_ROUND = {
    *("round", "accepted", "refused", "metrics", "parties", "fine_tuning", "gate", "seconds", "bytes"),
}


@pytest.fixture(scope="module")
def mixed(federation: Federation) -> dict:
    """A run of three parties: CSV, Parquet, and one whose table holds a label that nobody knows."""
    spoilt = write_csv(
        federation.private / "spoilt.csv", [*sentences("shop-c", 60), ("fine", "terrible-secret")]
    )
    parties = {
        "shop-a": {"train": str(federation.private / "shop-a.csv")},
        "shop-b": {"train": str(federation.private / "shop-b.parquet")},
        "shop-c": {"train": str(spoilt)},
    }
    data = {"parties": parties, "coordinator": {"table": str(federation.own)}}
    recipe = federation.recipe(
        "mixed",
        data=data,
        key_metric="loss",
        fine_tuning={"learning_rate": 0.01, "epochs": 10, "batch_size": 8},
    )
    federation.call("data", "prepare", "--recipe", str(recipe))
    return federation.document("train", "--recipe", str(recipe), "--run", "mixed")


def test_the_document_has_what_a_program_needs(mixed):
    assert mixed.keys() >= MEASURED
    assert mixed["status"] == "finished"
    assert 0 < mixed["seconds"]["startup"] < mixed["seconds"]["total"]
    assert [row["round"] for row in mixed["rounds"]] == [1, 2]
    for row in mixed["rounds"]:
        assert row.keys() >= OF_A_ROUND
        assert row["seconds"]["total"] == pytest.approx(
            row["seconds"]["train"] + row["seconds"]["overhead"], abs=0.01
        )
        assert row["parties"]["shop-a"]["bytes_up"] > 0
    assert set(mixed["final"]) >= {"accuracy", "macro_f1", "loss"}


def test_a_party_whose_data_fail_sits_out_with_a_reason_and_no_value(mixed, federation):
    store = coordinator_store(federation.home)
    receipt = store.read("parties/shop-c/runs/mixed/rounds/0001/receipt.json").decode()
    told = json.loads(json.loads(receipt)["payload"])
    for row in mixed["rounds"]:
        assert row["accepted"] == ["shop-a", "shop-b"]
        assert row["refused"] == [{"party": "shop-c", "code": "contract-failed"}]
        assert row["parties"]["shop-c"]["cleaned"] == told["data"]["cleaned"]
        assert row["parties"]["shop-c"]["warnings"] == told["data"]["failed_expectations"]
    assert "expect_column_values_to_be_in_set" in receipt
    assert "terrible-secret" not in receipt
    full = federation.home / "parties" / "shop-c" / "contract" / "mixed" / "train.json"
    assert "terrible-secret" in full.read_text()  # the party itself sees which value it was
    assert full.stat().st_mode & 0o077 == 0


def test_fine_tuning_that_helps_is_kept(mixed):
    kept = [row for row in mixed["rounds"] if row["fine_tuning"]["kept"]]
    assert kept
    for row in kept:
        assert row["fine_tuning"]["after"]["loss"] < row["fine_tuning"]["before"]["loss"]
        assert row["metrics"] == row["fine_tuning"]["after"]


def test_each_party_that_trained_keeps_the_version_of_its_table_where_the_coordinator_cannot_see_it(
    mixed, federation
):
    store, hashes = coordinator_store(federation.home), {}
    for party in ("shop-a", "shop-b"):
        words = (
            "data",
            "versions",
            "--party",
            party,
            "--recipe",
            str(federation.home.parent / "recipes" / "mixed.yaml"),
        )
        pushed = wait_for(  # which ends with the party's session, some time after the run
            lambda words=words: [each for each in federation.document(*words)["versions"] if each["pushed"]],
            timeout=60.0,
        )
        (version,) = pushed or ()
        assert (version["version"], version["runs"]) == (1, ["mixed"])
        envelope = store.read(f"parties/{party}/runs/mixed/rounds/0001/receipt.json")
        told = json.loads(json.loads(envelope)["payload"])["version"]
        assert told == {"keyed_hash": version["hash"], "rows": {}, "columns": []}
        hashes[party] = version["hash"]
        own = store_from_settings(load_role_settings(federation.home, party))
        keys = list(own.list_keys(f"own/{party}/"))
        assert keys, "of this recipe, and of others that ran before"
        for key in keys:
            with pytest.raises(StoreRefused):
                store.read(key)
    assert len(set(hashes.values())) == 2
    assert not (federation.home / "parties" / "shop-c" / "versions").exists(), "its rows were refused"


def test_no_path_and_no_row_of_a_party_leaves_it(mixed, federation):
    """Search every object that the coordinator can read, and every table of Prefect's database."""
    secrets = [str(federation.private), "confidential-tables", "thing no 1 of shop-a", "terrible-secret"]
    store = coordinator_store(federation.home)
    searched = 0
    areas = ("coordinator/", "parties/", "private/")
    for key in (key for area in areas for key in store.list_keys(area)):
        content = store.read(key)
        searched += 1
        for secret in secrets:
            assert secret not in key
            assert secret.encode() not in content, key
    assert searched > 20
    database = sqlite3.connect(f"file:{_prefect_database(federation.home)}?mode=ro", uri=True)
    tables = [name for (name,) in database.execute("select name from sqlite_master where type='table'")]
    rows = 0
    for table in tables:
        for row in database.execute(f'select * from "{table}"'):
            rows += 1
            text = repr(row)
            assert not any(secret in text for secret in secrets), table
    assert rows > 100


def test_no_process_of_the_coordinator_opened_a_file_of_a_party(mixed, federation):
    assert mixed["status"] == "finished"
    opened = set(federation.opened.read_text().splitlines())
    assert opened == {str(role_settings(federation.home, "coordinator"))}, "and they are watched"


def test_the_kept_model_loads_as_it_is(mixed, federation):
    folder = federation.home / "runs" / "mixed" / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert tuple(model.config.id2label[n] for n in range(3)) == CLASSES
    assert AutoTokenizer.from_pretrained(folder)("great thing")["input_ids"]


def test_predict_labels_texts_and_files(mixed, federation, tmp_path):
    rows = tmp_path / "new.csv"
    rows.write_text("id,text\n7,great thing\n8,awful thing\n")
    out = tmp_path / "labelled.csv"
    done = federation.call("predict", "mixed", "--file", str(rows), "--out", str(out))
    assert done.returncode == 0, done.stderr
    header, *labelled = out.read_text().splitlines()
    assert header == "id,text,label,probability"
    assert [row.split(",")[:2] for row in labelled] == [["7", "great thing"], ["8", "awful thing"]]
    (one,) = federation.document("predict", "mixed", "--text", "great thing no 5")
    assert one["label"] in CLASSES
    assert 1 / 3 <= one["probability"] <= 1.0


def test_runs_show_prints_the_same_document(mixed, federation):
    shown = federation.document("runs", "show", "mixed")
    assert shown["model_sha256"] == mixed["model_sha256"]
    assert shown["rounds"] == mixed["rounds"]
    assert "mixed" in [row["run_id"] for row in federation.document("runs", "list")]


def test_evaluate_repeats_the_final_score(mixed, federation):
    scores = federation.document("evaluate", "mixed")
    assert scores["holdout"]["accuracy"] == pytest.approx(mixed["final"]["accuracy"], abs=1e-6)
    assert [scores[name]["same_rows"] for name in ("validation", "holdout")] == [True, True]


def _prefect_database(home: Path) -> Path:
    (found,) = (home / "stack").rglob("prefect.db")
    return found


def test_the_report_is_kept_beside_the_model(mixed, federation):
    report = json.loads((federation.home / "runs" / "mixed" / "report.json").read_text())
    assert report["run_id"] == mixed["run_id"]
