"""A run as a page and as flat rows."""

from fedmodels.protocol.messages import Closed, PartyRow
from fedmodels.protocol.pages import party_rows, round_rows, run_page
from tests.fedmodels.protocol.builders import BASE, plan_for, recipe_for, record, scores

RECORDS = [
    record(1).model_copy(
        update={
            "parties": {
                "b": PartyRow(num_examples=20, train_loss=0.25, metrics=scores(0.9)),
                "a": PartyRow(num_examples=10),
            }
        }
    ),
    record(2, accepted="", refusals={"a": "late"}, outcome="quorum-missed"),
]
CLOSED = Closed(
    run="r",
    status="finished",
    reason="1 of 1 rounds passed",
    model_sha256=BASE,
    rounds=2,
    final=scores(0.8),
    seconds=1.0,
)


def test_a_row_for_each_round_also_for_one_that_came_to_no_model():
    assert round_rows(RECORDS) == [
        {"round": 1, "outcome": "passed", "accuracy": 0.7, "macro_f1": 0.7, "loss": 0.5},
        {"round": 2, "outcome": "quorum-missed", "accuracy": None, "macro_f1": None, "loss": None},
    ]


def test_the_rows_of_each_party_are_flat_and_say_none_where_it_gave_no_score():
    nothing = {"accuracy": None, "macro_f1": None, "loss": None}
    assert party_rows(RECORDS) == {
        "a": [{"round": 1, "examples": 10, "train_loss": None, **nothing}],
        "b": [
            {
                "round": 1,
                "examples": 20,
                "train_loss": 0.25,
                "accuracy": 0.9,
                "macro_f1": 0.9,
                "loss": 0.5,
            }
        ],
    }


def test_the_page_tells_of_every_round_and_of_the_kept_model():
    page = run_page(plan_for(recipe_for()), RECORDS, CLOSED, {"holdout": scores(0.85)})
    assert page.startswith("# r\n\nRecipe tiny, 2 parties.\n")
    assert "| 1 | passed | 2 | 0.700 | 0.700 | 0.500 | 1.0 | 0.0 |" in page
    assert "Kept model `000000000000`, accuracy 0.800 on the holdout." in page
    assert "| holdout | 100 | 0.85 | 0.85 | 0.5 |" in page
    assert "## Round 2: quorum-missed" in page
    assert "- a does not count (late): said so" in page
    assert "| b | accepted | 20 | 0.25 | 0.9 | 0.0 | 0.0 | 0.0 |" in page


def test_a_description_and_a_run_that_is_still_open():
    page = run_page(plan_for(recipe_for(description="two shops.")), RECORDS[:1], None)
    assert "Recipe tiny, 2 parties: two shops.\n" in page
    assert "**open**" in page
    assert "scored again" not in page
