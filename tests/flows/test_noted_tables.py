"""A training is refused where it would take other tables than its recipe names."""

import json
import shutil

import pytest

from fedmodels.errors import InputError
from flows.data_preparation import prepare_data
from flows.noted_tables import refuse_other_tables
from flows.recipes import load_recipe
from infra.locations import role_folder
from infra.role_settings import update_role_settings
from tests.flows.cli.in_process import call_main
from tests.flows.own_recipe import OwnRecipe


@pytest.fixture
def own(tmp_path):
    """Prepared, as a training takes it."""
    made = OwnRecipe(tmp_path)
    prepare_data(made.recipe(), made.home)
    return made


def refusal(own, **options):
    with pytest.raises(InputError) as caught:
        refuse_other_tables(own.recipe(), own.home, "my recipes/mine.yaml", **options)
    assert caught.value.code == "tables-differ"
    return str(caught.value)


def copied(own, name):
    shutil.copy(own.folder / f"{name}.csv", own.folder / f"other-{name}.csv")
    return f"other-{name}.csv"


def test_what_was_prepared_is_trained_on(own):
    refuse_other_tables(own.recipe(), own.home, "mine.yaml")


def test_another_seed_may_be_tried_on_the_same_sets(own):
    tried = own.recipe()
    tried = tried.model_copy(update={"seed": tried.seed + 1})
    refuse_other_tables(tried, own.home, "mine.yaml")


@pytest.mark.parametrize(("party", "table", "name"), [("shop-a", "train", "a"), ("shop-b", "holdout", "h")])
def test_another_table_of_a_party(own, party, table, name):
    own.parties[party][table] = copied(own, name)
    assert refusal(own) == (
        "A training would not take the tables that recipe mine names: other tables, or none, stand in "
        f"the settings of {party}; run fedcart data prepare --recipe 'my recipes/mine.yaml'."
    )
    prepare_data(own.recipe(), own.home)
    refuse_other_tables(own.recipe(), own.home, "mine.yaml")


def test_a_holdout_that_the_recipe_names_no_more(own):
    del own.parties["shop-b"]["holdout"]
    assert "settings of shop-b, and" in refusal(own)


def test_tables_that_do_not_exist_differ_too(own):
    own.parties["shop-a"]["train"] = "gone.csv"
    own.coordinator["table"] = "gone-too.csv"
    said = refusal(own)
    assert "settings of shop-a, and the coordinator's sets were cut from other tables" in said
    assert "gone" not in said


def test_other_rows_of_the_coordinator(own):
    with (own.folder / "own.csv").open("a") as table:
        table.write("one more,1\n")
    assert "the coordinator's sets were cut from other tables" in refusal(own)
    assert "settings of" not in refusal(own)
    refuse_other_tables(own.recipe(), own.home, "mine.yaml", resume=True)


def test_the_same_rows_elsewhere_are_the_same(own):
    own.coordinator["table"] = copied(own, "own")
    refuse_other_tables(own.recipe(), own.home, "mine.yaml")


def test_a_resume_looks_at_the_parties(own):
    own.parties["shop-a"]["train"] = copied(own, "a")
    assert "settings of shop-a;" in refusal(own, resume=True)


def test_settings_that_name_none(own):
    for role in ("shop-a", "coordinator"):
        (role_folder(own.home, role) / "fedcart.toml").write_text('bucket = "x"\n')
    assert "settings of shop-a, and the coordinator's" in refusal(own)


def test_a_set_that_somebody_named_by_hand_is_another(own):
    elsewhere = {"tables": {"mine": {"holdout": str(own.folder / "h.csv")}}}
    update_role_settings(own.home, "coordinator", elsewhere)
    assert "the coordinator's sets" in refusal(own)


@pytest.mark.parametrize("role", ["shop-b", "coordinator"])
def test_a_role_without_settings_here_is_elsewhere(own, role):
    own.parties["shop-b"]["train"] = copied(own, "b")
    own.coordinator["table"] = "gone.csv"
    assert refusal(own)
    (role_folder(own.home, role) / "fedcart.toml").unlink()
    assert ("shop-b" in refusal(own), "coordinator's" in refusal(own)) == (
        role != "shop-b",
        role != "coordinator",
    )


def test_another_way_to_the_same_place(own):
    (own.folder / "way").symlink_to(own.folder)
    own.parties["shop-a"]["train"] = "way/a.csv"
    refuse_other_tables(own.recipe(), own.folder / "way" / "home", "mine.yaml")


def test_a_packaged_source_names_no_table(own):
    prepared = load_recipe("smoke").model_copy(update={"name": "mine"})
    refuse_other_tables(prepared, own.home, "smoke")


def test_train_refuses_before_it_looks_for_a_stack(own, monkeypatch, capsys):
    own.parties["shop-a"]["train"] = "gone.csv"
    own.recipe()
    words = ["train", "--recipe", str(own.file), "--json"]
    done = call_main(monkeypatch, capsys, words, FEDCART_HOME=str(own.home))
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "tables-differ"
    assert error["message"].endswith(f"run fedcart data prepare --recipe {own.file}.")
    prepared = call_main(monkeypatch, capsys, ["data", "prepare", *words[1:]], FEDCART_HOME=str(own.home))
    assert json.loads(prepared.stdout)["error"]["code"] == "table-missing"
