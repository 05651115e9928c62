"""Rows on disk get the verdict that they get in memory."""

from collections import Counter

import pytest

from fedmodels.contract_schema import LabelledTextContract
from fedmodels.data.disk import row_file, rows_to_disk
from fedmodels.data.rows import LabelledTexts
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData
from validation.contract import check_contract, rows_in_memory, rows_on_disk

LABELS = ("bad", "good")
DATA = DataConfig(
    parties={"shop-a": PartyData(train="a"), "shop-b": PartyData(train="b")},
    coordinator=CoordinatorData(table="own"),
    min_rows=10,
    max_text_length=100,
)
CONTRACT = LabelledTextContract.model_validate(
    {
        "row_count": {"max": 40, "severity": "warning"},
        "text_length": {"min": 3},
        "text_pattern": {"regex": r"^[a-z]+ \w+ \d", "min_share": 0.9},
        "freshness": {"column": "written", "max_age_days": 30},
    }
)


def rows(count=20, start=0):
    return [(f"text number {number}", LABELS[number % 2]) for number in range(start, start + count)]


TABLES = {
    "keeps it": rows(),
    "a text that is too short": [*rows(), ("ab", "good")],
    "a text that is too long": [*rows(), ("text number 99 " + "x" * 100, "good")],
    "texts of another form": [*rows(), *((f"7 {number}", "bad") for number in range(5))],
    "a label that is missing": [*rows(), ("text number 99", "")],
    "a label that is unknown": [*rows(), ("text number 99", "ugly")],
    "near-duplicates": [*rows(), *(("text number 1" + "!" * number, "bad") for number in range(1, 9))],
    "one class": [(text, "good") for text, _ in rows()],
    "too few rows": rows(9),
    "too many rows": rows(41),
    "no rows": [],
    "in another script": [*rows(), *((f"文本 {number} 好", "good") for number in range(9))],
}


def texts(pairs):
    return LabelledTexts(tuple(text for text, _ in pairs), tuple(label for _, label in pairs))


def counts_of(verdict):
    """By expectation; but SQLite knows the type of a column, and looks at no row for it."""
    return {
        finding.name: (finding.rows, finding.unexpected)
        for finding in verdict.findings
        if finding.expectation != "expect_column_values_to_be_of_type"
    }


@pytest.mark.parametrize(
    "cleaned", [{}, {"empty_texts": 90, "exact_duplicates": 3}], ids=["clean", "cleaned"]
)
@pytest.mark.parametrize("name", TABLES)
def test_disk_and_memory_agree(tmp_path, name, cleaned):
    train, holdout = texts(TABLES[name]), texts([*rows(5, 100), *TABLES[name][-2:]])
    wanted, _ = check_contract(rows_in_memory(train, holdout, cleaned), DATA, LABELS, CONTRACT, age_days=31.0)
    with row_file(tmp_path) as path:
        counts = rows_to_disk(path, train, holdout, Counter(cleaned), LABELS)
        found, full = check_contract(rows_on_disk(path, counts), DATA, LABELS, CONTRACT, age_days=31.0)
    assert found.failed == wanted.failed
    assert (found.passed, found.evaluated) == (wanted.passed, wanted.evaluated)
    assert all(finding.evaluated for finding in found.findings)
    assert counts_of(found) == counts_of(wanted)
    assert set(full) == {"train", "holdout", "facts", "labels"}
