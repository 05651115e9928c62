"""`fedcart release prune` on a store that each command starts for itself, and what others say then."""

import itertools
import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from fedmodels.errors import FedcartError, InputError, RunConflict, StoreRefused, StoreUnavailable
from flows.cli.main import app
from infra import store_answers
from infra.layout import architecture_key, closed_key, model_key
from infra.locations import kept_model_folder
from infra.settings import load_role_settings
from tasks.model_folder import FACTS
from tasks.release import pruning
from tasks.release.requesting import open_release
from tests.store_alone import store_alone
from tests.tasks.release.released_models import reported
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture
def fedcart(home):
    def call(*words: object, **environment: str):
        told = [str(word) for word in words]
        return CliRunner().invoke(app, told, env={"FEDCART_HOME": str(home), **environment})

    return call


@pytest.fixture
def runs(home):
    """Three finished runs of a recipe of their own; the first has a release that waits for a person."""
    number = next(NUMBERS)
    made = []
    for name in ("asks", "idle", "other"):
        run = FinishedRun(
            home,
            f"{name}-{number}",
            seed=number * 1000 + len(made),
            changes={"name": f"tiny-{number}", "num_rounds": 1},
        )
        run.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
        run.close()
        made.append(run)
    asks = made[0]
    request = open_release(
        asks.store,
        f"tiny-{number}",
        "flow-run",
        run=asks.run,
        round_number=1,
        model_sha256=asks.head.best_model_sha256,
    )
    reported(asks.store, request, approval="person", deadline=1e7)
    yield made
    for key in list(asks.store.list_keys("coordinator/")):
        asks.store.delete(key)


@pytest.fixture
def later(monkeypatch):
    """Two days pass for whatever is looked at, but for the note that a prune has just left."""
    clock, age = store_answers.clock, pruning.ObjectStore.age
    monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(days=2))

    def aged(store, key):
        found = age(store, key)
        return found - 2 * 86_400.0 if found is not None and "/prunes/" in key else found

    monkeypatch.setattr(pruning.ObjectStore, "age", aged)


def models_of(*runs) -> set[str]:
    return {
        model_key(sha256)
        for run in runs
        for sha256 in (run.plan.base_model_sha256, run.head.best_model_sha256)
    }


def copy_of(home, run):
    folder = kept_model_folder(home, run.run)
    folder.mkdir(parents=True)
    for name in ("model.safetensors", FACTS):
        (folder / name).write_bytes(b"x" * 50)
    return folder


def said(done) -> str:
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(done, kind: type[FedcartError]) -> str:
    assert isinstance(done.exception, kind), done.output
    return done.exception.code


def test_it_shows_what_would_go_and_then_removes_it(fedcart, home, runs, later):
    asks, idle, other = runs
    copies = [copy_of(home, run) for run in runs]
    expected = models_of(idle, other)
    shown = json.loads(said(fedcart("release", "prune", "--keep", 0, "--json")))
    assert (shown["dry_run"], shown["keep"], shown["recipe"], shown["left"]) == (True, "0", None, None)
    assert {row["object"] for row in shown["objects"]} == expected
    assert {row["role"] for row in shown["objects"]} == {"coordinator"}
    assert {row["why"] for row in shown["objects"]} == {"no release and no open run refers to it"}
    assert {tuple(row["runs"]) for row in shown["objects"]} == {(idle.run,), (other.run,)}
    assert shown["bytes"] == sum(row["bytes"] for row in shown["objects"]) > 0
    assert shown["runs"] == [idle.run, other.run]
    assert shown["stays"] == [{"why": "it has a release: awaiting approval", "runs": [asks.run]}]
    assert [row["folder"] for row in shown["disk"]] == [f"runs/{idle.run}/model", f"runs/{other.run}/model"]
    assert shown["disk_bytes"] == 200
    table = said(fedcart("release", "prune", "--keep", "1h"))
    assert table.startswith("Would go\n")
    for key in expected:
        assert key in table
    assert f"disk: runs/{idle.run}/model" in table
    assert "1 run stays: it has a release: awaiting approval.\n" in table
    assert table.endswith(
        "4 objects of 0.0 MB and 2 folders of 0.0 MB on this machine's disk would go. "
        "Nothing was removed: --yes does it.\n"
    )
    assert expected <= set(asks.store.list_keys("coordinator/blobs/"))
    assert all(copy.exists() for copy in copies)
    went = said(fedcart("release", "prune", "--keep", 0, "--yes"))
    assert went.startswith("Gone\n")
    assert went.endswith("4 objects of 0.0 MB and 2 folders of 0.0 MB on this machine's disk went.\n")
    assert expected & set(asks.store.list_keys("coordinator/blobs/")) == set()
    assert models_of(asks) <= set(asks.store.list_keys("coordinator/blobs/"))
    assert [copy.exists() for copy in copies] == [True, False, False]
    assert said(fedcart("release", "prune", "--keep", 0)) == (
        "1 run stays: it has a release: awaiting approval.\nNothing else can go.\n"
    )


def test_the_newest_stay(fedcart, runs, later):
    shown = json.loads(said(fedcart("release", "prune", "--keep", 2, "--json")))
    assert shown["objects"] == shown["runs"] == []
    assert {row["why"] for row in shown["stays"]} == {
        "it has a release: awaiting approval",
        "it is one of the 2 newest of its recipe",
    }
    assert json.loads(said(fedcart("release", "prune", "--keep", "3d", "--json")))["runs"] == []


def test_what_other_commands_say_of_a_run_that_was_pruned(fedcart, home, runs, later):
    asks, idle, _ = runs
    said(fedcart("release", "prune", "--keep", 0, "--yes"))
    verified = fedcart("runs", "verify", idle.run)
    assert verified.exit_code == 0
    assert "the coordinator pruned it" in verified.stdout
    assert "\nIts kept model was pruned.\n" in said(fedcart("runs", "show", idle.run))
    assert json.loads(said(fedcart("runs", "show", idle.run, "--json")))["pruned"] is True
    assert "pruned" not in json.loads(said(fedcart("runs", "show", asks.run, "--json")))
    told = fedcart("predict", idle.run, "--text", "good")
    assert refused(told, RunConflict) == "pruned"
    assert str(told.exception) == (
        f"The model {idle.head.best_model_sha256[:12]} of run {idle.run} was removed by "
        f"fedcart release prune; train it again with fedcart reproduce {idle.run}."
    )
    assert refused(fedcart("evaluate", idle.run), RunConflict) == "pruned"


def test_of_one_recipe_alone(fedcart, home, runs, later):
    asks, *others = runs
    name = asks.plan.recipe.name
    key = "private/models/files/md5/00/orphan"
    asks.store.put_blob(key, b"orphan")
    shown = json.loads(said(fedcart("release", "prune", "--keep", 0, "--recipe", name, "--json")))
    assert (shown["recipe"], shown["runs"]) == (name, [run.run for run in others])
    assert key not in {row["object"] for row in shown["objects"]}
    assert (
        refused(fedcart("release", "prune", "--keep", 0, "--recipe", "no-such"), InputError)
        == "recipe-unknown"
    )
    asks.store.delete(key)


def test_what_is_not_known_of_dvcs_remote_stays_with_a_warning(fedcart, runs, later):
    store, key = runs[0].store, "private/models/files/md5/00/orphan"
    store.put_blob(key, b"orphan")
    done = fedcart("release", "prune", "--keep", 0, "--yes", "--json")
    assert json.loads(said(done))["left"].startswith("models-behind: There is no models repository")
    assert "What no commit names stays in DVC's remote" in done.stderr
    assert store.exists(key)
    store.delete(key)


@pytest.mark.parametrize(
    ("keep", "code"),
    [
        ("-1", "keep-invalid"),
        ("", "keep-invalid"),
        ("many", "keep-invalid"),
        ("0d", "bound-too-short"),
        ("3y", "duration-invalid"),
    ],
)
def test_a_keep_that_says_nothing_is_refused_before_the_store_is_asked(fedcart, monkeypatch, keep, code):
    monkeypatch.setattr("flows.open_store.open_named_store", None)
    assert refused(fedcart("release", "prune", "--keep", keep), InputError) == code


def test_keep_has_to_be_said(fedcart):
    done = fedcart("release", "prune", "--yes")
    assert refused(done, InputError) == "usage"
    assert "needs --keep" in str(done.exception)


def of_role(home, role, **changes) -> dict[str, str]:
    own = load_role_settings(home, role)
    return {
        "FEDCART_ROLE": role,
        "FEDCART_S3_ENDPOINT": str(own.s3_endpoint),
        "FEDCART_S3_ACCESS_KEY_ID": str(own.s3_access_key_id),
        "FEDCART_S3_SECRET_ACCESS_KEY": own.s3_secret_access_key.get_secret_value(),
        **changes,
    }


@pytest.mark.parametrize("yes", [(), ("--yes",)])
def test_a_party_is_refused(fedcart, home, runs, later, yes):
    before = set(runs[0].store.list_keys("coordinator/"))
    done = fedcart("release", "prune", "--keep", 0, *yes, **of_role(home, "shop-a"))
    assert refused(done, StoreRefused) == "store-refused"
    assert set(runs[0].store.list_keys("coordinator/")) == before


def test_a_store_that_is_away_is_told(fedcart, home, tmp_path, no_backoff):
    away = of_role(home, "coordinator", FEDCART_S3_ENDPOINT="http://127.0.0.1:9", FEDCART_HOME=str(tmp_path))
    done = fedcart("release", "prune", "--keep", 0, "--yes", **away)
    assert refused(done, StoreUnavailable) == "store-unavailable"


def test_a_run_that_is_open_says_so(fedcart, home, runs, later):
    asks, idle, other = runs
    idle.store.delete(closed_key(idle.run))
    shown = json.loads(said(fedcart("release", "prune", "--keep", 0, "--json")))
    assert {"why": "it is open", "runs": [idle.run]} in shown["stays"]
    assert shown["runs"] == [other.run]
    assert asks.store.exists(architecture_key(asks.plan.architecture_sha256))
