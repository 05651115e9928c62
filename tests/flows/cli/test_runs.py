"""`fedcart runs verify`, `sweep` and `cancel` on a store that each command starts for itself."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from fedmodels.errors import InputError, RunConflict
from flows.cli.main import app
from infra import store_answers
from infra.layout import closed_key, head_key, plan_key, receipt_key, round_key
from infra.locations import role_folder, runs_folder
from infra.settings import load_role_settings
from tasks.round_folder import WithOwnFolder
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, finished_run

RUN = "shown-1"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture(scope="module")
def finished(home) -> FinishedRun:
    return finished_run(home, RUN)


@pytest.fixture
def fedcart(home, finished):
    def call(*words: str, **environment: str):
        variables = {"FEDCART_HOME": str(home), **environment}
        return CliRunner().invoke(app, ["runs", *words], env=variables)

    return call


@pytest.fixture
def later(monkeypatch):
    clock = store_answers.clock
    monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(days=8))


def test_a_store_elsewhere_is_looked_at_where_there_is_no_stack(fedcart, home, finished, tmp_path):
    ours = load_role_settings(home, "coordinator")
    there = {
        "FEDCART_HOME": str(tmp_path),
        "FEDCART_S3_ENDPOINT": ours.s3_endpoint,
        "FEDCART_S3_ACCESS_KEY_ID": ours.s3_access_key_id,
        "FEDCART_S3_SECRET_ACCESS_KEY": ours.s3_secret_access_key.get_secret_value(),
    }
    assert RUN in [row["run_id"] for row in json.loads(fedcart("list", "--json", **there).stdout)]
    assert json.loads(fedcart("show", RUN, "--json", **there).stdout)["status"] == "finished"
    assert fedcart("verify", RUN, **there).exit_code == 0


def test_verify_says_that_all_holds(fedcart):
    done = fedcart("verify", RUN)
    assert done.exit_code == 0, done.output
    assert "71 objects and averages checked, everything that can be checked holds." in done.stdout
    assert "not recomputable: fine-tuned" in done.stdout
    assert "receipt.json" not in done.stdout
    assert receipt_key("shop-a", RUN, 1) in fedcart("verify", RUN, "--all").stdout


def test_verify_names_what_is_broken_and_fails(fedcart, finished):
    key = round_key(RUN, 3, "record")
    before = finished.store.read(key)
    finished.store.put_blob(key, before.replace(b'"overhead":1.25', b'"overhead":0.25'))
    try:
        done = fedcart("verify", RUN)
        told = fedcart("verify", RUN, "--json")
    finally:
        finished.store.put_blob(key, before)
    assert done.exit_code == told.exit_code == 1
    assert "1 of them broken" in done.stdout
    document = json.loads(told.stdout)
    assert document["passed"] is False
    broken = [row for row in document["objects"] if row["verdict"] != "ok"]
    assert [(row["object"], row["verdict"]) for row in broken] == [
        (key, "changed"),
        ("average of round 3", "not checked"),
        ("fine-tuning of round 2", "not recomputable: fine-tuned"),
    ]
    assert "rounds/0004/record.json names" in broken[0]["detail"]


def test_what_rests_on_a_damaged_record_says_so(fedcart, finished):
    key = round_key(RUN, 3, "record")
    before = finished.store.read(key)
    finished.store.put_blob(key, before.replace(b'"overhead":1.25', b'"overhead":0.25'))
    try:
        rows = json.loads(fedcart("verify", RUN, "--all", "--json").stdout)["objects"]
    finally:
        finished.store.put_blob(key, before)
    details = {row["object"]: row["detail"] for row in rows}
    damaged = "the round's record, which names the decision, is damaged"
    assert details["average of round 3"] == damaged
    assert "whether it counts is not known" in details[receipt_key("shop-a", RUN, 3)]
    assert "not counted" not in details[receipt_key("shop-a", RUN, 3)]


def test_an_open_run_and_the_round_of_the_kept_model(fedcart, finished):
    before = finished.store.read(closed_key(RUN))
    kept = f"{finished.head.best_model_sha256[:12]} of round {finished.head.best_round}: accuracy"
    assert f"Kept model {kept}" in " ".join(fedcart("show", RUN).stdout.split())
    finished.store.delete(closed_key(RUN))
    try:
        assert f"open. Kept model {kept}" in " ".join(fedcart("show", RUN).stdout.split())
        (row,) = json.loads(fedcart("list", "--json").stdout)
    finally:
        finished.store.put_blob(closed_key(RUN), before)
    assert (row["run_id"], row["status"], row["rounds"]) == (RUN, "open", 5)


def test_runs_that_are_not_opened_or_damaged_are_listed_as_such_beside_the_others(fedcart, finished):
    keys = [head_key("no-plan-1"), plan_key("no-head-1"), plan_key("garbled-1"), head_key("garbled-1")]
    for key in keys:
        finished.store.put_blob(key, b"{}")
    try:
        shown = fedcart("list")
        rows = {row["run_id"]: row for row in json.loads(fedcart("list", "--json").stdout)}
    finally:
        for key in keys:
            finished.store.delete(key)
    assert {run: row["status"] for run, row in rows.items()} == {
        RUN: "finished",
        "no-plan-1": "not opened",
        "no-head-1": "not opened",
        "garbled-1": "damaged",
    }
    assert (rows["no-plan-1"]["rounds"], rows["no-plan-1"]["final"]) == (0, None)
    assert set(rows["no-plan-1"]) == set(rows[RUN])
    assert shown.exit_code == 0
    assert all(run in shown.stdout for run in rows)


def test_a_report_is_a_page_or_a_folder_of_page_and_tables(fedcart, finished, tmp_path):
    page = fedcart("report", RUN)
    assert page.exit_code == 0, page.output
    assert page.stdout.startswith(f"# {RUN}\n")
    assert "## Round 5: " in page.stdout
    done = fedcart("report", RUN, "--out", str(tmp_path / "report"), "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["run_id"], len(document["rounds"])) == (RUN, 5)
    assert sorted(document["parties"]) == sorted(PARTIES)
    assert (tmp_path / "report" / "report.md").read_text() == page.stdout
    assert json.loads((tmp_path / "report" / "rounds.json").read_text()) == document["rounds"]
    unknown = fedcart("report", "nothing-1")
    assert isinstance(unknown.exception, InputError)
    assert unknown.exception.code == "run-unknown"


def test_verify_of_an_unknown_run_is_one_sentence(fedcart):
    done = fedcart("verify", "nothing-1")
    assert isinstance(done.exception, InputError)
    assert "fedcart runs list" in str(done.exception)


def test_cancel_closes_an_open_run_once(fedcart, finished):
    before = finished.store.read(closed_key(RUN))
    finished.store.delete(closed_key(RUN))
    try:
        told = json.loads(fedcart("cancel", RUN, "--reason", "wrong table", "--json").stdout)
        again = fedcart("cancel", RUN)
    finally:
        finished.store.put_blob(closed_key(RUN), before)
    assert (told["status"], told["reason"], told["rounds"]) == ("cancelled", "wrong table", 5)
    assert isinstance(again.exception, RunConflict)
    assert "cancelled already" in str(again.exception)


def test_sweep_shows_what_would_go_of_each_role_and_then_removes_it(fedcart, finished, home, later):
    left = WithOwnFolder(role_folder(home, "shop-b") / "runs" / RUN)
    (left.models / "base.safetensors").write_bytes(b"base")
    left.let_go()
    would = json.loads(fedcart("sweep", "--dry-run", "--json").stdout)
    assert would["dry_run"] is True
    assert [(row["role"], row["name"], row["why"]) for row in would["leftovers"]] == [
        ("shop-b", f"runs/{RUN}", "its run is over")
    ]
    assert would["disk_bytes"] == len(b"base")
    assert {row["role"] for row in would["objects"]} == set(PARTIES)
    assert would["bytes"] == sum(row["bytes"] for row in would["objects"]) > 0
    table = fedcart("sweep", "--dry-run").stdout
    assert f"{len(would['objects'])} objects of" in table
    assert "1 leftover of" in table
    assert left.folder.exists(), "nothing went"
    assert "no run needs it" in table
    went = json.loads(fedcart("sweep", "--json").stdout)
    assert {row["object"] for row in went["objects"]} == {row["object"] for row in would["objects"]}
    assert not left.folder.exists()
    verified = fedcart("verify", RUN)
    assert verified.exit_code == 0
    assert "shop-a swept it" in verified.stdout
    assert json.loads(fedcart("sweep", "--json").stdout)["objects"] == []


def test_with_settings_of_its_own_a_party_sweeps_for_itself_alone(fedcart, finished, home, later):
    for party in ("shop-a", "shop-b"):
        finished.stores[party].put_blob(f"parties/{party}/blobs/{'0' * 64}.safetensors", b"orphan")
    own = load_role_settings(home, "shop-b")
    variables = {
        "FEDCART_ROLE": "shop-b",
        "FEDCART_S3_ENDPOINT": str(own.s3_endpoint),
        "FEDCART_S3_ACCESS_KEY_ID": str(own.s3_access_key_id),
        "FEDCART_S3_SECRET_ACCESS_KEY": own.s3_secret_access_key.get_secret_value(),
    }
    done = fedcart("sweep", "--json", **variables)
    assert done.exit_code == 0, done.output
    assert f"parties/shop-b/blobs/{'0' * 64}.safetensors" in done.stdout
    assert {row["role"] for row in json.loads(done.stdout)["objects"]} == {"shop-b"}


def test_an_age_that_is_too_short_is_refused(fedcart):
    done = fedcart("sweep", "--older-than", "5m")
    assert isinstance(done.exception, InputError)
    assert done.exception.code == "bound-too-short"


def test_a_run_that_nobody_watched_has_all_keys_of_what_is_measured(fedcart, finished, home):
    shown = json.loads(fedcart("show", RUN, "--json").stdout)
    assert (shown["seconds"]["startup"], shown["peak_pss_mb"]) == (None, None)
    assert shown["seconds"]["total"] > 0
    followed = json.loads(fedcart("follow", RUN, "--json").stdout)
    assert {**followed, "rounds": None} == {**shown, "rounds": None}


def test_a_damaged_report_is_a_note_and_the_buckets_facts_are_shown(fedcart, finished, home):
    shown = json.loads(fedcart("show", RUN, "--json").stdout)
    report = runs_folder(home) / RUN / "report.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text('{"run_id": "shown-1", "seco')
    done = fedcart("show", RUN, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == shown
    assert done.stderr == f"The report {report} is damaged; delete it.\n"
