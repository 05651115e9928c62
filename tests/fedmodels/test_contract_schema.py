"""The contract of a recipe: its bounds are told before any training, and travel with the plan."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from fedmodels.contract_schema import KIND_OF, LabelledTextContract
from fedmodels.document_faults import describe_faults
from fedmodels.recipe import Recipe

ROOT = Path(__file__).parents[2]
DATA = {"parties": {"a": {"train": "a"}, "b": {"train": "b"}}, "coordinator": {"table": "c"}}


def parse(**contract) -> LabelledTextContract:
    return Recipe.model_validate({"name": "tiny", "data": DATA, "contract": contract}).contract


@pytest.mark.parametrize(
    ("contract", "sentence"),
    [
        ({"engine": "dask"}, "contract.engine is 'dask', but must be pandas or spark"),
        ({"null_texts": {"max_share": 1.5}}, "contract.null_texts.max_share is 1.5"),
        ({"uniqueness": {"min_share": 0}}, "contract.uniqueness.min_share is 0"),
        ({"row_count": {"max": 0}}, "contract.row_count.max is 0"),
        ({"row_count": {"severity": "info"}}, "contract.row_count.severity is 'info'"),
        ({"text_pattern": {"regex": "(a"}}, "contract.text_pattern.regex: is no regular expression"),
        ({"label_balance": {"min_share": 0.6, "max_share": 0.4}}, "min_share is 0.6, above max_share (0.4)"),
        ({"freshness": {"column": "written"}}, "contract.freshness.max_age_days is missing"),
        ({"freshness": {"column": "", "max_age_days": 0}}, "2 faults"),
        ({"colour": "red"}, "contract.colour is not a known key"),
        ({"kind": "purchases"}, "contract.kind is 'purchases'"),
    ],
)
def test_each_fault_names_the_thing_and_the_bound(contract, sentence):
    with pytest.raises(ValidationError) as caught:
        parse(**contract)
    assert sentence in describe_faults(caught.value, Recipe)


def test_a_check_is_switched_off_by_null():
    assert parse(null_texts=None, label_balance=None).null_texts is None
    assert parse().freshness is None


def test_the_plan_holds_the_contract():
    recipe = Recipe.model_validate(
        {"name": "tiny", "data": DATA, "contract": {"freshness": {"column": "written", "max_age_days": 30}}}
    )
    again = Recipe.model_validate_json(recipe.without_paths().model_dump_json())
    assert again.contract == recipe.contract


def test_every_use_case_has_a_kind_of_contract(monkeypatch):
    assert set(KIND_OF) == set(Recipe.model_fields["use_case"].annotation.__args__)
    monkeypatch.setitem(KIND_OF, "review-sentiment", "purchases")
    with pytest.raises(ValidationError, match="use_case review-sentiment learns from purchases"):
        parse()


def test_the_documented_contract_is_the_default():
    page = (ROOT / "docs" / "contracts.md").read_text()
    block = page.split("```yaml\n")[1].split("```")[0]
    assert parse(**yaml.safe_load(block)["contract"]) == LabelledTextContract()


def test_the_first_recipe_spells_out_the_default():
    document = yaml.safe_load((ROOT / "recipes" / "reviews.yaml").read_text())
    assert parse(**document["contract"]) == LabelledTextContract()
