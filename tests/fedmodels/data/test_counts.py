"""Sets that are too small for their scores to mean much."""

import pytest

from fedmodels.data.counts import FEW_ROWS, few_rows, no_public_rows


@pytest.mark.parametrize(
    ("validation", "holdout", "told"),
    [
        (
            3,
            1,
            "The coordinator has 3 rows for validation and 1 row for holdout, fewer than 50, so that chance",
        ),
        (FEW_ROWS - 1, FEW_ROWS, "The coordinator has 49 rows for validation, fewer than 50, so that chance"),
        (FEW_ROWS, FEW_ROWS - 1, "The coordinator has 49 rows for holdout, fewer than 50, so that chance"),
    ],
)
def test_few_rows_are_told(validation, holdout, told):
    said = few_rows({"public": 0, "validation": validation, "holdout": holdout})
    assert said.startswith(told)
    assert said.endswith("give it more rows, or a larger share in data.coordinator.shares.")


def test_enough_rows_are_not():
    assert few_rows({"public": 0, "validation": FEW_ROWS, "holdout": FEW_ROWS}) == ""


def test_sets_without_a_public_row_are_told():
    assert no_public_rows({"public": 0}).startswith("The coordinator has no row for public, so that global")
    assert no_public_rows({"public": 1}) == ""
