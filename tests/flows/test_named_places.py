"""What a recipe names and is not there is refused before anything is written or fetched."""

import json
from pathlib import Path

import pytest

from fedmodels.errors import InputError
from flows.cli.main import main
from flows.data_preparation import partition_data, prepare_data
from flows.named_places import refuse_missing_model, refuse_missing_places
from flows.recipes import load_recipe
from tests.flows.cli.in_process import call_main
from tests.flows.own_recipe import OwnRecipe


@pytest.fixture
def own(tmp_path):
    return OwnRecipe(tmp_path)


def refusal(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return caught.value


@pytest.mark.parametrize("prepare", [prepare_data, partition_data])
@pytest.mark.parametrize(
    ("whose", "name", "place"),
    [
        ("The train table of shop-a", "a.csv", "data.parties.shop-a"),
        ("The holdout table of shop-b", "h.csv", "data.parties.shop-b"),
        ("The coordinator's table", "own.csv", "data.coordinator"),
    ],
)
@pytest.mark.parametrize(
    ("spoil", "said", "code"),
    [
        (lambda path: path.unlink(), "does not exist", "table-missing"),
        (lambda path: (path.unlink(), path.mkdir()), "is a folder", "table-unreadable"),
        (lambda path: path.write_bytes(b""), "is empty", "table-empty"),
    ],
    ids=["missing", "folder", "empty"],
)
def test_a_table_that_cannot_be_one(own, prepare, whose, name, place, spoil, said, code):
    spoil(own.folder / name)
    error = refusal(prepare, own.recipe(), own.home)
    assert error.code == code
    assert str(error) == f"{whose} {own.folder / name} {said}; correct its path under {place} in the recipe."
    assert not own.home.exists(), "nothing was written"


def test_that_everything_stood_here_before_does_not_hide_it(own):
    prepare_data(own.recipe(), own.home)
    (own.folder / "a.csv").unlink()
    assert refusal(prepare_data, own.recipe(), own.home).code == "table-missing"


def test_all_of_them_are_told_at_once(own):
    (own.folder / "a.csv").unlink()
    (own.folder / "b.csv").write_bytes(b"")
    error = refusal(refuse_missing_places, own.recipe())
    assert error.code == "table-missing"
    assert str(error).startswith(f"The train table of shop-a {own.folder / 'a.csv'} does not exist, and the ")
    assert "and the train table of shop-b" in str(error)
    assert "under data.parties.shop-a and data.parties.shop-b in the recipe" in str(error)


def test_below_a_file_there_is_no_table(own):
    own.parties["shop-a"]["train"] = str(own.folder / "own.csv" / "a.csv")
    assert refusal(refuse_missing_places, own.recipe()).code == "table-missing"


def test_what_this_process_may_not_look_for_is_left_to_the_party(own, monkeypatch):
    recipe, seen = own.recipe(), Path.stat

    def stat(path, **options):
        if path.name == "a.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return seen(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    refuse_missing_places(recipe)


def test_a_packaged_source_names_no_table():
    refuse_missing_places(load_recipe("smoke"))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("./models/mine", "./models/mine does not exist"),
        ("models/of/mine", "models/of/mine does not exist"),
        ("~/no-such-folder-here", "~/no-such-folder-here does not exist"),
        ("bare", "bare has no config.json"),
    ],
)
@pytest.mark.parametrize("refuse", [prepare_data, lambda recipe, _home: refuse_missing_model(recipe)])
def test_a_model_folder_that_is_none(own, refuse, source, what):
    (own.folder / "bare").mkdir()
    error = refusal(refuse, own.recipe(model={"source": source}), own.home)
    assert error.code == "model-missing"
    assert str(error).startswith("The model folder ")
    assert str(error).endswith(f"{what}; correct model.source in the recipe.")
    assert not own.home.exists()


@pytest.mark.parametrize("source", ["org/name", "name", "package:all-minilm-l6-v2", "model"])
def test_a_model_that_may_be_somewhere(own, source):
    (own.folder / "model").mkdir()
    (own.folder / "model" / "config.json").write_text("{}")
    refuse_missing_model(own.recipe(model={"source": source}))


def test_train_refuses_a_missing_model_at_once(own, monkeypatch, capsys):
    own.recipe(model={"source": "./gone"})
    words = ["train", "--recipe", str(own.file), "--json"]
    done = call_main(monkeypatch, capsys, words, FEDCART_HOME=str(own.home))
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "model-missing"


def test_a_demonstration_refuses_it_before_it_starts_anything(own, monkeypatch, capsys):
    (own.folder / "a.csv").unlink()
    monkeypatch.setenv("FEDCART_HOME", str(own.home))
    monkeypatch.setattr("sys.argv", ["fedcart", "demo", "--recipe", str(own.file)])
    own.recipe()
    with pytest.raises(SystemExit) as leaving:
        main()
    said = capsys.readouterr().err
    assert leaving.value.code == 2
    assert said.startswith("error The train table of shop-a")
    assert "stopping" not in said
    assert not own.home.exists(), "no stack was begun"
