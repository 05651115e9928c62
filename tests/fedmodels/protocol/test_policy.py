"""Each rule of a party forbids what is past its bound, and nothing that is on it."""

import pytest

from fedmodels.contract_schema import LabelledTextContract, TextPattern
from fedmodels.protocol.policy import policy_violations
from fedmodels.recipe import CoordinatorData, DataConfig, LocalTraining, PartyData, Recipe, UpdateConfig
from infra.settings import PartyPolicy

OWN = PartyData(train="own")
DATA = DataConfig(parties={"shop-a": OWN, "shop-b": OWN}, coordinator=CoordinatorData(table="own"))
RECIPE = Recipe(
    name="reviews",
    data=DATA,
    num_rounds=3,
    max_failed_rounds=2,
    local=LocalTraining(epochs=4),
    update=UpdateConfig(clipping_norm=1.5),
    contract=LabelledTextContract(text_pattern=TextPattern(regex="[a-z]")),
)


def test_without_rules_everything_is_allowed():
    assert policy_violations(PartyPolicy(), RECIPE) == ()


@pytest.mark.parametrize(
    "rules",
    [
        {"recipes": ("other", "reviews")},
        {"use_cases": ("review-sentiment",)},
        {"max_rounds": 5},
        {"max_local_epochs": 4},
        {"require_clipping_norm": 1.5},
        {"allow_text_pattern": True},
    ],
    ids=lambda rules: next(iter(rules)),
)
def test_the_bound_itself_is_allowed(rules):
    assert policy_violations(PartyPolicy(**rules), RECIPE) == ()


@pytest.mark.parametrize(
    ("rules", "clause"),
    [
        ({"recipes": ("other", "third")}, "name is reviews, not among recipes (other, third)"),
        ({"use_cases": ("ranking",)}, "use_case is review-sentiment, not among use_cases (ranking)"),
        ({"max_rounds": 4}, "num_rounds + max_failed_rounds is 5, above max_rounds (4)"),
        ({"max_local_epochs": 3}, "local.epochs is 4, above max_local_epochs (3)"),
        (
            {"require_clipping_norm": 1.0},
            "update.clipping_norm is 1.5, at most 1 is required (require_clipping_norm)",
        ),
        ({"allow_text_pattern": False}, "contract.text_pattern is set, and allow_text_pattern is false"),
    ],
    ids=lambda rules: next(iter(rules)) if isinstance(rules, dict) else "",
)
def test_past_its_bound_each_rule_forbids(rules, clause):
    assert policy_violations(PartyPolicy(**rules), RECIPE) == (clause,)


def test_an_update_that_is_not_clipped_breaks_every_norm():
    unclipped = RECIPE.model_copy(update={"update": UpdateConfig()})
    assert policy_violations(PartyPolicy(require_clipping_norm=1e9), unclipped) == (
        "update.clipping_norm is not set, at most 1e+09 is required (require_clipping_norm)",
    )


def test_a_contract_without_a_pattern_breaks_no_rule_about_it():
    plain = RECIPE.model_copy(update={"contract": LabelledTextContract()})
    assert policy_violations(PartyPolicy(allow_text_pattern=False), plain) == ()


def test_all_violations_are_told_at_once():
    rules = PartyPolicy(recipes=("other",), max_rounds=1, max_local_epochs=1, require_clipping_norm=0.1)
    assert len(policy_violations(rules, RECIPE)) == 4
