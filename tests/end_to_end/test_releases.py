"""Releases on real servers: by hand, by the scheduled look for new models, by a word in Prefect's form."""

import json
from datetime import timedelta
from uuid import UUID

import dvc.api
import gto.api
import pytest
from dvc.repo import Repo
from prefect.client.orchestration import SyncPrefectClient
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fedmodels.protocol.pruning import parse_keep
from flows.deploying import deploy_all, whole_declaration
from flows.following import api_url, coordinator_store
from flows.proposing import WAITING
from flows.recipes import load_recipe
from infra import store_answers
from infra.deployments.answered import seconds_left
from infra.keys import load_model_key
from infra.layout import model_key
from infra.locations import coordinator_folder
from infra.model_signatures import signature_fault
from infra.object_store import ObjectStore
from infra.settings import Schedules, load_role_settings
from infra.waiting import wait_for
from tasks.release.desk import form_key
from tasks.release.kept_copies import remove_copies
from tasks.release.pruning import prune
from tasks.release.reading import list_releases, read_champion, read_history

RECIPE = "released"
NOTHING = {"tags": [], "lost": [], "mended": []}
BOUNDS = {"margin": 0.9, "max_ece": None, "max_party_drop": None, "max_slice_drop": None}
"""Thirty rows of toy text prove no model better than another."""


@pytest.fixture(scope="module")
def client(federation):
    with SyncPrefectClient(api_url(federation.home)) as made:
        yield made


@pytest.fixture(scope="module")
def store(federation):
    return coordinator_store(federation.home)


@pytest.fixture(scope="module")
def first(federation):
    """A finished run, and everything deployed that runs by itself."""
    recipe = federation.recipe(RECIPE, num_rounds=1, release=BOUNDS)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    off = Schedules(**dict.fromkeys(Schedules.model_fields, "off"))
    declaration = whole_declaration(load_recipe(str(recipe)), str(recipe), federation.home, off)
    deploy_all(declaration, api_url(federation.home))
    return federation.document("train", "--recipe", str(recipe), "--run", "released-1")


def models_repository(federation):
    return coordinator_folder(federation.home) / "models-repository"


def recorded_champion(federation) -> str:
    """What `gto show` of the coordinator's models repository says."""
    (champion,) = gto.api.show(str(models_repository(federation)), f"{RECIPE}#champion")
    return champion["version"]


def ended(client, flow_run, *states):
    """The flow run's state when it has one of these types."""

    def look():
        state = client.read_flow_run(flow_run).state
        return state if state.type.value in states else None

    return wait_for(look, timeout=120, longest_wait=1.0)


def start(client, deployment, **parameters):
    found = client.read_deployment_by_name(deployment)
    return client.create_flow_run_from_deployment(found.id, parameters=found.parameters | parameters).id


def test_a_model_is_proposed_and_becomes_the_champion(federation, store, client, first):
    client.delete_deployment(client.read_deployment_by_name("model-release/coordinator").id)
    proposed = federation.document("release", "propose", "released-1", "--reason", "the first one")
    assert proposed["state"] == "Completed", proposed
    champion = read_champion(store, RECIPE)
    assert (champion.release, champion.model_sha256) == (1, first["model_sha256"])
    assert proposed["message"].startswith(f"The champion of {RECIPE} is release 1: model ")
    assert recorded_champion(federation) == "v1.0.0"
    again = federation.document("release", "propose", "released-1")
    assert (again["release"], again["message"]) == (1, proposed["message"])
    assert len(list_releases(store, RECIPE)) == 1
    unknown = federation.call("release", "propose", "no-such-run", "--json")
    assert json.loads(unknown.stdout)["error"]["code"] == "run-unknown"


def test_the_scheduled_look_proposes_a_new_run_once_and_a_person_approves_it(
    federation, store, client, first
):
    recipe = federation.recipe(RECIPE, num_rounds=1, seed=7, release={**BOUNDS, "approval": "person"})
    second = federation.document("train", "--recipe", str(recipe), "--run", "released-2")
    look = start(client, f"release-check/{RECIPE}")
    assert ended(client, look, "COMPLETED", "FAILED").type.value == "COMPLETED"
    release = wait_for(lambda: suspended(client), timeout=120)
    assert release is not None
    assert read_champion(store, RECIPE).release == 1, "nobody has said anything yet"
    views = list_releases(store, RECIPE)
    assert (views[-1].request.run, views[-1].standing) == ("released-2", "awaiting approval")
    checks = {check.name: check for check in views[-1].found.report.checks}
    for party in ("shop-a", "shop-b"):
        assert checks[f"party/{party}/drop"].value is not None, "both models were scored on the same rows"

    client.resume_flow_run(release, run_input={"decision": "approve", "by": "a test", "comment": "good"})
    assert ended(client, release, "COMPLETED", "FAILED", "CRASHED").type.value == "COMPLETED"
    left = seconds_left(str(release), form_key(2), api_url=api_url(federation.home))
    assert left is not None, "the server notes when the form came"
    assert 0 < left <= views[-1].found.report.approval_deadline
    champion = read_champion(store, RECIPE)
    assert (champion.release, champion.model_sha256) == (2, second["model_sha256"])

    again = start(client, f"release-check/{RECIPE}")
    assert ended(client, again, "COMPLETED", "FAILED").name == "NothingNew"
    back = federation.document("release", "rollback", RECIPE)
    assert back["model_sha256"] == first["model_sha256"] == read_champion(store, RECIPE).model_sha256
    assert recorded_champion(federation) == "v1.0.0"
    tags = [row["tag"] for row in federation.document("release", "list", RECIPE)]
    assert tags == [f"{RECIPE}@v1.0.0", f"{RECIPE}@v2.0.0"]
    assert federation.document("release", "sync", RECIPE, "--check") == NOTHING


@pytest.mark.usefixtures("first")
def test_whoever_gets_the_model_with_dvc_loads_it(federation, store, tmp_path, monkeypatch):
    settings = load_role_settings(federation.home, "coordinator")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", settings.s3_access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", settings.s3_secret_access_key.get_secret_value())
    got = tmp_path / "model"
    Repo.get(str(models_repository(federation)), f"models/{RECIPE}", str(got), rev=f"{RECIPE}@v1.0.0")
    champion = next(pointer for pointer in read_history(store, RECIPE) if pointer.release == 1)
    assert json.loads((got / "fedcart.json").read_text())["model_sha256"] == champion.model_sha256
    with dvc.api.open(
        f"releases/{RECIPE}/model-signing-key.pub", str(models_repository(federation)), mode="rb"
    ) as stream:
        public = stream.read()
    assert public == load_model_key(settings.model_signing_key).public
    assert signature_fault(got, (got / "model.sig").read_bytes(), public) == ""
    assert AutoModelForSequenceClassification.from_pretrained(got).config.num_labels > 1
    assert AutoTokenizer.from_pretrained(got)("a text").input_ids
    assert (got / "README.md").read_text().startswith("---\n")
    with dvc.api.open(
        f"sets/{RECIPE}/holdout.parquet", str(models_repository(federation)), mode="rb"
    ) as stream:
        assert stream.read() == settings.tables[RECIPE].holdout.read_bytes()


@pytest.mark.usefixtures("first")
def test_a_word_of_the_command_line_answers_the_form_too(federation, store, client):
    """The model of the test before, proposed again: its flow run waits, and goes on without a form."""
    for words, name in ((("approve", "--comment", "by hand"), None), (("reject",), "Rejected")):
        proposed = federation.document("release", "propose", "released-2")
        assert proposed["state"] in WAITING, proposed
        verb, *more = words
        said = federation.call("release", verb, RECIPE, str(proposed["release"]), "--by", "a test", *more)
        assert (said.returncode, said.stderr) == (0, "")
        state = ended(client, UUID(proposed["flow_run"]), "COMPLETED", "FAILED", "CRASHED")
        assert state.type.value == "COMPLETED", state.message
        assert name is None or state.name == name
        twice = federation.call("release", "approve", RECIPE, str(proposed["release"]), "--json")
        assert json.loads(twice.stdout)["error"]["code"] == "approval-twice"
        assert read_champion(store, RECIPE).release == (proposed["release"] if name is None else 1)
        if name is None:
            federation.document("release", "rollback", RECIPE, "--to", "1")


def suspended(client) -> UUID | None:
    """The release that waits for a person."""
    found = (run for run in client.read_flow_runs() if run.name == "release · released-2")
    return next((run.id for run in found if run.state.is_paused()), None)


@pytest.mark.usefixtures("first")
def test_each_role_tidies_up_below_its_own_prefix(client):
    for role in ("coordinator", "shop-a"):
        state = ended(client, start(client, f"housekeeping/{role}"), "COMPLETED", "FAILED", "CRASHED")
        assert state.type.value == "COMPLETED", state.message
    refused = start(client, "housekeeping/shop-a", older_than="a while")
    state = ended(client, refused, "COMPLETED", "FAILED", "CRASHED")
    assert state.type.value == "FAILED"
    assert "a while" in state.message


def test_nothing_that_was_just_trained_or_released_is_pruned(federation, store, first):
    before = set(store.list_keys("coordinator/blobs/")) | set(store.list_keys("private/"))
    told = federation.document("release", "prune", "--keep", "0", "--recipe", RECIPE, "--yes")
    assert (told["objects"], told["disk"], told["runs"]) == ([], [], [])
    released = next(each["runs"] for each in told["stays"] if each["why"].startswith("it has a release"))
    assert first["run_id"] in released
    everything = federation.document("release", "prune", "--keep", "0")
    assert (everything["dry_run"], everything["objects"], everything["left"]) == (True, [], None)
    assert before <= set(store.list_keys("coordinator/blobs/")) | set(store.list_keys("private/"))


def test_a_model_that_was_pruned_is_refused_and_can_be_made_again(federation, store, first, monkeypatch):
    recipe = federation.recipe(RECIPE, num_rounds=1, seed=11, release=BOUNDS)
    trained = federation.document("train", "--recipe", str(recipe), "--run", "pruned-1")
    key = model_key(trained["model_sha256"])
    with monkeypatch.context() as patched:  # two days later, but for the note that is written then
        clock, age = store_answers.clock, ObjectStore.age
        patched.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(days=2))
        patched.setattr(
            ObjectStore, "age", lambda one, at: (age(one, at) or 0.0) - ("/prunes/" in at) * 2 * 86_400.0
        )
        found = prune(store, parse_keep("0"), RECIPE)
    assert key in {item.key for item in found.objects}
    assert not store.exists(key)
    assert [copy.name for copy in remove_copies(federation.home, ["pruned-1"])] == ["runs/pruned-1/model"]
    assert federation.document("runs", "verify", "pruned-1")["passed"] is True
    used = federation.call("predict", "pruned-1", "--text", "good", "--json")
    assert (used.returncode, json.loads(used.stdout)["error"]["code"]) == (1, "pruned")
    proposed = federation.call("release", "propose", "pruned-1", "--json")
    told = json.loads(proposed.stdout)
    assert (proposed.returncode, told["release"]) == (1, None)
    assert told["message"].startswith("pruned: The model "), told
    again = federation.document("reproduce", "pruned-1")
    assert again["equal"] is True
    assert store.exists(key)
    assert federation.document("predict", "pruned-1", "--text", "good")[0]["label"]
