"""`fedcart release` on a store that each command starts for itself."""

import itertools
import json

import pytest
from typer.testing import CliRunner

from fedmodels.errors import FedcartError, InputError, RunConflict
from flows.cli.main import app
from tasks.release_reading import read_champion
from tests.store_alone import store_alone, store_of
from tests.tasks.released_models import opened, proposed, released, reported

NAMES = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), ("shop-a", "shop-b")) as folder:
        yield folder


@pytest.fixture(scope="module")
def store(home):
    return store_of(home, "coordinator")


@pytest.fixture
def recipe() -> str:
    return f"recipe-{next(NAMES)}"


@pytest.fixture
def fedcart(home):
    def call(*words: object):
        told = [str(word) for word in words]
        return CliRunner().invoke(app, ["release", *told], env={"FEDCART_HOME": str(home)})

    return call


def said(done) -> str:
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(done, kind: type[FedcartError]) -> str:
    assert isinstance(done.exception, kind), done.output
    return done.exception.code


def test_list_and_show_say_where_each_release_stands(fedcart, store, recipe):
    assert said(fedcart("list", recipe)) == f"There is no release of {recipe}.\n"
    released(store, recipe, "first")
    proposed(store, recipe, "second", verdict="failed")
    opened(store, recipe, "third")
    table = said(fedcart("list", recipe))
    assert [line.split()[1:3] for line in table.splitlines()[4:7]] == [
        ["1", "first"],
        ["2", "second"],
        ["3", "third"],
    ]
    for word in ("champion", "checks failed", "no report yet", "size"):
        assert word in table
    assert [row["standing"] for row in json.loads(said(fedcart("list", recipe, "--json")))] == [
        "champion",
        "checks failed",
        "no report yet",
    ]
    shown = said(fedcart("show", recipe, 2))
    assert "The size is 1." in shown
    assert f"Release 2 of {recipe}, model" in shown
    assert "of run second: checks failed." in shown
    document = json.loads(said(fedcart("show", recipe, 2, "--json")))
    assert (document["passed"], document["standing"]) == (False, "checks failed")
    assert document["report"]["checks"][0]["verdict"] == "failed"
    assert json.loads(said(fedcart("show", recipe, 3, "--json")))["passed"] is None
    assert recipe in said(fedcart("list"))


def test_promote_and_rollback_are_one_command_each(fedcart, store, recipe):
    released(store, recipe, "first")
    proposed(store, recipe, "second")
    told = said(fedcart("promote", recipe, 2, "--by", "ann"))
    assert told.startswith(f"The champion of {recipe} is release 2: model ")
    back = json.loads(said(fedcart("rollback", recipe, "--reason", "too slow", "--by", "ben", "--json")))
    assert (back["release"], back["action"], back["reason"], back["by"]) == (1, "rollback", "too slow", "ben")
    assert read_champion(store, recipe).release == 1
    assert refused(fedcart("rollback", recipe), RunConflict) == "rollback-nothing"
    assert refused(fedcart("promote", recipe, 2), RunConflict) == "release-left"
    assert json.loads(said(fedcart("rollback", recipe, "--to", 2, "--json")))["release"] == 2


def test_approve_promotes_and_reject_does_not(fedcart, store, recipe):
    proposed(store, recipe, "first", approval="person")
    proposed(store, recipe, "second", approval="person")
    told = json.loads(
        said(fedcart("reject", recipe, 1, "--by", "ann", "--comment", "[no] evidence", "--json"))
    )
    assert (told["decision"], told["comment"]) == ("reject", "[no] evidence")
    shown = said(fedcart("show", recipe, 1))
    assert "ann: reject, " in shown
    assert ' s after the report: "[no] evidence".' in shown
    assert refused(fedcart("promote", recipe, 1), RunConflict) == "release-rejected"
    assert "is release 2" in said(fedcart("approve", recipe, 2))
    assert refused(fedcart("approve", recipe, 2), RunConflict) == "approval-twice"
    assert read_champion(store, recipe).release == 2


def test_who_has_no_name_here_has_to_give_one(fedcart, store, recipe, monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    proposed(store, recipe, "first")
    assert refused(fedcart("promote", recipe, 1), InputError) == "name-missing"
    assert "is release 1" in said(fedcart("promote", recipe, 1, "--by", "ann"))


def test_refusals_name_the_thing_and_the_next_step(fedcart, store, recipe):
    reported(store, opened(store, recipe, "first"))
    assert refused(fedcart("show", recipe, 9), InputError) == "release-unknown"
    assert refused(fedcart("promote", recipe, 9), InputError) == "release-unknown"
    assert refused(fedcart("promote", "Not An Id", 1), InputError) == "id-invalid"
    assert refused(fedcart("approve", recipe, 1), RunConflict) == "approval-not-asked"
    assert fedcart("promote", recipe, 0).exit_code == 2
