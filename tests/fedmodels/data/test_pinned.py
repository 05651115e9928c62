"""A pin changes with every row, label and place, and a plan of before it keeps its bytes."""

import json

import pytest

from fedmodels.data.pinned import changed_sets, pin
from fedmodels.data.rows import LabelledTexts
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Plan
from tests.fedmodels.protocol.builders import plan_for, recipe_for

ROWS = LabelledTexts(("works", "broke"), ("1", "0"))


@pytest.mark.parametrize(
    "other",
    [
        LabelledTexts(("broke", "works"), ("0", "1")),
        LabelledTexts(("works", "broke"), ("1", "1")),
        LabelledTexts(("works", "broken"), ("1", "0")),
        LabelledTexts(("works1", "broke"), ("", "0")),
        LabelledTexts(("works",), ("1",)),
        LabelledTexts(),
    ],
    ids=["order", "label", "text", "border", "fewer", "none"],
)
def test_other_rows_are_noticed(other):
    pinned = {"validation": pin(ROWS), "holdout": pin(ROWS)}
    assert changed_sets(pinned, {"validation": ROWS, "holdout": other}) == ("holdout",)
    assert changed_sets(pinned, {"validation": LabelledTexts(*zip(*_pairs(), strict=True))}) == ()


def _pairs():
    return list(zip(ROWS.texts, ROWS.labels, strict=True))


def test_a_set_that_was_not_pinned_is_another_one():
    assert changed_sets({}, {"public": ROWS}) == ("public",)


def test_a_pin_shows_no_row():
    assert set(pin(ROWS).model_dump()) == {"rows", "sha256"}
    assert pin(ROWS).rows == 2


def test_plans_with_and_without_pins_come_back_as_they_were():
    old = plan_for(recipe_for())
    assert "sets" not in json.loads(canonical_json(old))
    new = old.model_copy(update={"sets": {"public": pin(ROWS)}})
    for plan in (old, new):
        assert canonical_json(Plan.model_validate_json(canonical_json(plan))) == canonical_json(plan)
