"""`fedcart drift check` at a party, on a store that the command finds or starts."""

import itertools
import json

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.main import app
from tests.store_alone import store_alone
from tests.tasks.drift.champion import PARTIES, REVIEWS, TWEETS, Champion, sentences

NAMES = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture
def champion(home, tmp_path):
    made = Champion(home, f"recipe-{next(NAMES)}", tmp_path, needed=1, of=1)
    made.write("shop-a", "train", sentences(REVIEWS, 400, 0))
    made.release()
    return made


@pytest.fixture
def check(home, champion):
    def call(*words, recipe=champion.recipe.name, party="shop-a"):
        told = ["drift", "check", "--party", party, "--recipe", recipe, *words]
        return CliRunner().invoke(app, told, env={"FEDCART_HOME": str(home)})

    return call


def test_its_status_says_whether_something_drifted(check, champion):
    champion.write("shop-a", "fresh", sentences(REVIEWS, 150, 7, start=1000))
    calm = check("--json")
    assert calm.exit_code == 0, calm.output
    assert json.loads(calm.stdout)["features"] == []
    champion.write("shop-a", "fresh", sentences(TWEETS, 150, 8))
    drifted = check("--json")
    assert drifted.exit_code == 3
    document = json.loads(drifted.stdout)
    assert {"text", "embedding"} <= set(document["features"])
    assert document["lasting"] == document["features"]
    assert document["unchanged"] is False
    assert not set(TWEETS) & set(drifted.stdout.replace('"', " ").split())
    shown = check()
    assert shown.exit_code == 3
    assert "nothing was compared again" in shown.stdout
    assert "out_of_vocabulary" in shown.stdout


def test_a_recipe_may_be_named_by_its_file(check, champion, tmp_path):
    path = tmp_path / "its.yaml"
    path.write_text(yaml.safe_dump(champion.recipe.model_dump(mode="json")))
    refused = check("--json", recipe=str(path))
    assert json.loads(refused.stdout)["error"]["code"] == "drift-nothing-fresh", "the champion is found"


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({}, "drift-nothing-fresh"),
        ({"recipe": "nowhere"}, "drift-no-champion"),
        ({"recipe": "No Id"}, "id-invalid"),
        ({"recipe": "gone/mine.yaml"}, "recipe-unknown"),
    ],
)
def test_what_cannot_be_compared_ends_with_another_status(check, named, code):
    refused = check("--json", **named)
    assert refused.exit_code == 2, refused.output
    assert json.loads(refused.stdout)["error"]["code"] == code


def test_too_few_rows_are_refused_alike(check, champion):
    champion.write("shop-a", "fresh", sentences(REVIEWS, 20, 7, start=1000))
    refused = check("--json")
    assert refused.exit_code == 2
    assert json.loads(refused.stdout)["error"]["code"] == "drift-too-few-rows"
