"""The recipes that come with fedcart, and how a wrong one is told."""

from pathlib import Path

import pytest
import yaml

from fedmodels.errors import InputError
from flows.recipes import RECIPES, known_recipes, load_recipe
from infra.packages import data_source, model_source

OWN = """\
name: mine
data:
  parties:
    shop-a: {train: a.csv}
    shop-b: {train: /data/b.parquet, holdout: tables/h.csv}
  coordinator: {table: own.csv}
"""


def written(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", known_recipes())
def test_each_recipe_is_valid_and_says_where_its_data_come_from(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    header = (RECIPES / f"{name}.yaml").read_text().split("\nname:")[0]
    assert f"fedcart demo --recipe {name}" in header
    for source in (data_source(recipe.data.source), model_source(recipe.model.source)):
        assert f"{source.project} {source.version}" in header
        assert source.sha256 in header
    assert "Licence of the data: not stated" in header
    assert "Licence: Apache-2.0 by its model card" in header


def test_what_the_recipes_promise():
    assert known_recipes() == ("drift-demo", "reviews", "smoke", "ten-parties")
    assert len(load_recipe("reviews").parties) == 4
    ten = load_recipe("ten-parties")
    assert (len(ten.parties), ten.num_rounds, ten.local.batch_size, ten.local.learning_rate) == (
        10,
        5,
        16,
        5e-5,
    )
    smoke = load_recipe("smoke")
    assert (len(smoke.parties), smoke.num_rounds, smoke.model.init) == (2, 1, "random")


@pytest.mark.parametrize("name", known_recipes())
def test_no_recipe_leaves_out_who_is_only_slower(name):
    """A party that trains for longest in every round would be late in every round."""
    assert load_recipe(name).grace_limit >= 60


def test_the_first_recipe_spells_out_every_knob():
    document = yaml.safe_load((RECIPES / "reviews.yaml").read_text())
    recipe = load_recipe("reviews")
    for section, value in (
        ("", recipe),
        ("local", recipe.local),
        ("gate", recipe.gate),
        ("release", recipe.release),
        ("update", recipe.update),
        ("contract", recipe.contract),
        ("drift", recipe.drift),
    ):
        spelled = document[section] if section else document
        assert set(spelled) == set(type(value).model_fields)
    assert set(document["drift"]["bounds"]) == set(type(recipe.drift.bounds).model_fields)


def test_paths_count_from_the_recipes_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "weights").mkdir()
    path = written(tmp_path, OWN + "model: {source: ./weights}\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    recipe = load_recipe(path)
    assert recipe.data.parties["shop-a"].train == str(tmp_path / "a.csv")
    assert recipe.data.parties["shop-b"].train == "/data/b.parquet"
    assert recipe.data.parties["shop-b"].holdout == str(tmp_path / "tables" / "h.csv")
    assert recipe.data.coordinator.table == str(tmp_path / "own.csv")
    assert Path(recipe.model.source) == tmp_path / "weights"


def test_a_hub_id_stays_as_it_is(tmp_path):
    assert load_recipe(written(tmp_path, OWN + "model: {source: org/name}\n")).model.source == "org/name"


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("revews", "recipe-unknown", "use one of drift-demo, reviews, smoke"),
        ("nowhere/mine.yaml", "recipe-unknown", "There is no recipe file nowhere/mine.yaml"),
        ("mine.yml", "recipe-unknown", "There is no recipe file mine.yml"),
    ],
)
def test_unknown_recipes(name, code, said):
    with pytest.raises(InputError) as caught:
        load_recipe(name)
    assert caught.value.code == code
    assert said in str(caught.value)


def test_all_faults_at_once(tmp_path):
    text = OWN + "num_rounds: many\ncolour: red\nlocal: {optimizer: rmsprop}\n"
    with pytest.raises(InputError) as caught:
        load_recipe(written(tmp_path, text))
    said = str(caught.value)
    assert caught.value.code == "recipe-invalid"
    assert "3 faults" in said
    for part in ("num_rounds is 'many'", "colour is not a known key", "local.optimizer is 'rmsprop'"):
        assert part in said
    assert said.endswith("; correct it; recipes/reviews.yaml spells out every key.")
    assert "\n" not in said


@pytest.mark.parametrize("said", ["description: 2026-02-30", "description: !!float x"])
def test_an_impossible_value_is_told_with_its_line(tmp_path, said):
    with pytest.raises(
        InputError, match=r"is not valid YAML in line 7: there is no such .*; put the value"
    ) as caught:
        load_recipe(written(tmp_path, OWN + said))
    assert caught.value.code == "recipe-invalid"


@pytest.mark.parametrize(
    "changed", [("train: a.csv", "train: ~nobody-here/a.csv"), ("own.csv", "~nobody-here/o.csv")]
)
def test_the_home_folder_of_nobody_is_told(tmp_path, changed):
    for name in ("~nobody-here/mine.yaml", written(tmp_path, OWN.replace(*changed))):
        with pytest.raises(InputError, match=r"^~nobody-here names the home folder of no user") as caught:
            load_recipe(name)
        assert caught.value.code == "path-unusable"


def test_no_party_is_called_coordinator_and_the_other_faults_are_told_beside_it(tmp_path):
    with pytest.raises(InputError) as caught:
        load_recipe(written(tmp_path, OWN.replace("shop-a", "coordinator") + "num_rounds: many\n"))
    assert "2 faults: data.parties.coordinator has the name of the other role; choose " in str(caught.value)
    assert "; num_rounds is 'many'," in str(caught.value)


def test_yes_and_no_as_labels_need_quotes(tmp_path):
    for labels, read in (("[no, yes]", "false and as true"), ("[on, ~]", "true and as null")):
        with pytest.raises(InputError) as caught:
            load_recipe(written(tmp_path, OWN + f"  labels: {labels}\n"))
        assert caught.value.code == "recipe-invalid"
        assert f"YAML reads a label without quotes as {read}; put each label in quotes" in str(caught.value)
    assert load_recipe(written(tmp_path, OWN + "  labels: ['no', \"yes\"]\n")).data.labels == ("no", "yes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "not valid YAML in line"),
        (OWN + "name: other\n", "not valid YAML in line 7"),
        ("just words", "1 fault"),
        ("", "1 fault"),
        ("name: !!python/object/apply:os.system [id]", "not valid YAML in line 1"),
    ],
)
def test_what_is_no_recipe(tmp_path, text, said):
    with pytest.raises(InputError) as caught:
        load_recipe(written(tmp_path, text))
    assert caught.value.code == "recipe-invalid"
    assert said in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match="not valid YAML"):
        load_recipe(str(path))
