"""The recipe's section `drift` is refused with what does not fit together."""

import pytest
from pydantic import ValidationError

from fedmodels.document_faults import describe_faults
from fedmodels.drift_section import WATCHED, DriftSection
from fedmodels.recipe import Recipe
from validation.drift.policy import DriftPolicy

DATA = {"parties": {"a": {"train": "a"}, "b": {"train": "b"}}, "coordinator": {"table": "c"}}


def test_the_defaults_are_those_of_the_comparison():
    section, policy = DriftSection(), DriftPolicy()
    assert section.bounds.model_dump() == {
        name: getattr(policy, name) for name in section.bounds.model_dump()
    }
    assert (section.alpha, section.min_rows, section.design_effect) == (
        policy.alpha,
        policy.min_rows,
        policy.design_effect,
    )
    assert section.features == WATCHED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"needed": 5}, "needed is 5, more than the 4 checks"),
        ({"most_overlap": 1.0}, "most_overlap is 1, not below 1"),
        ({"columns": {"text": "category"}}, "columns names text"),
        ({"features": []}, "watches nothing"),
        ({"features": ["text", "text"]}, "names text more than once"),
        ({"features": ["price"]}, "features.0 is 'price'"),
        ({"columns": {"price": "text"}}, "columns.price is 'text'"),
        (
            {"columns": {"two\nlines": "number"}},
            r"'two\nlines', but each key must be a name of 1 to 64 printable characters",
        ),
        ({"columns": {"x" * 65: "number"}}, "but each key must be a name of 1 to 64 printable"),
        ({"alpha": 0.7}, "alpha is 0.7"),
        ({"min_rows": 5}, "min_rows is 5"),
        ({"bounds": {"psi": -1}}, "bounds.psi is -1"),
    ],
)
def test_each_fault_is_named(change, said):
    with pytest.raises(ValidationError) as caught:
        DriftSection.model_validate(change)
    assert said in describe_faults(caught.value, DriftSection)


def test_a_column_may_have_any_printable_name():
    names = ("größe", "preis (EUR)", "price/unit", "it's €", "数量", "<b>|[x]`", "x" * 64)
    assert set(DriftSection(columns=dict.fromkeys(names, "number")).columns) == set(names)


def test_a_recipe_does_not_ask_for_more_parties_than_it_has():
    with pytest.raises(ValidationError, match=r"drift.quorum is 3, but data.parties names only 2"):
        Recipe.model_validate({"name": "tiny", "data": DATA, "drift": {"quorum": 3}})
    Recipe.model_validate({"name": "tiny", "data": DATA, "drift": {"quorum": 3, "enabled": False}})
