"""Every expectation of the contract for labelled text is needed, and no verdict holds a value."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fedmodels.contract_schema import LabelledTextContract
from fedmodels.data.counts import count_rows
from fedmodels.data.rows import LabelledTexts
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData
from validation.contract import check_batch, check_contract, rows_in_memory
from validation.engines import frame_batch, quiet_context
from validation.facts import TextFacts, age_in_days, facts_frame, text_facts
from validation.suites.labelled_text import labelled_text_frame
from validation.suites.registry import KINDS, kind_of

SECRET = "jane.doe@example.org"
LABELS = ("bad", "good")
MIN_ROWS, LONGEST = 10, 100
DATA = DataConfig(
    parties={"shop-a": PartyData(train="a.csv"), "shop-b": PartyData(train="b.csv")},
    coordinator=CoordinatorData(table="own.csv"),
    min_rows=MIN_ROWS,
    max_text_length=LONGEST,
)
CONTRACT = LabelledTextContract.model_validate(
    {
        "row_count": {"max": 40, "severity": "warning"},
        "text_pattern": {"regex": "[a-z]", "min_share": 0.9},
        "freshness": {"column": "written", "max_age_days": 30},
    }
)
"""Every check is on, and no two of a part have the same severity, type and column."""
FACTS = TextFacts(0.0, 0.0, 0.0, 0.0, {"bad": 0.5, "good": 0.5}, age_days=1.0)


def good_rows(count=20):
    return LabelledTexts(
        tuple(f"text number {number}" for number in range(count)),
        tuple(LABELS[number % 2] for number in range(count)),
    )


def rows_frame(**columns):
    """A frame that keeps the contract, but for the given values of its first rows."""
    made = labelled_text_frame(good_rows())
    for column, values in columns.items():
        for row, value in enumerate(values):
            made.loc[row, column] = value
    return made


def facts(**changes):
    return facts_frame(TextFacts(**{**vars(FACTS), **changes}))


def classes(*shares):
    return pd.DataFrame({"share": shares})


def one_label():
    made = rows_frame()
    made["label"] = "good"
    return made


OF_ROWS = {
    "critical:expect_table_columns_to_match_set:table": lambda: rows_frame().assign(email=SECRET),
    "critical:expect_column_values_to_be_of_type:text": lambda: rows_frame(text=[b"bytes"]),
    "critical:expect_column_values_to_not_be_null:text": lambda: rows_frame(text=[None]),
    "critical:expect_column_value_lengths_to_be_between:text": lambda: rows_frame(text=[""]),
    "warning:expect_column_value_lengths_to_be_between:text": lambda: rows_frame(text=["x" * (LONGEST + 1)]),
    "warning:expect_column_values_to_match_regex:text": lambda: rows_frame(text=["1", "2", "3"]),
    "critical:expect_column_values_to_not_be_null:label": lambda: rows_frame(label=[None]),
    "critical:expect_column_values_to_be_in_set:label": lambda: rows_frame(label=["ugly"]),
    "warning:expect_column_proportion_of_unique_values_to_be_between:text_folded": lambda: rows_frame(
        text_folded=["same"] * 6
    ),
}
"""Name of an expectation to the table that it alone refuses."""
BREAKING = {
    "train": {
        **OF_ROWS,
        "critical:expect_column_unique_value_count_to_be_between:label": one_label,
        "critical:expect_table_row_count_to_be_between:table": lambda: labelled_text_frame(
            good_rows(MIN_ROWS - 1)
        ),
        "warning:expect_table_row_count_to_be_between:table": lambda: labelled_text_frame(good_rows(41)),
    },
    "holdout": {
        name.replace(":table", ":holdout.table")
        .replace(":text", ":holdout.text")
        .replace(":label", ":holdout.label"): table
        for name, table in OF_ROWS.items()
    },
    "facts": {
        "warning:expect_column_values_to_be_between:facts.null_texts": lambda: facts(null_texts=0.6),
        "warning:expect_column_values_to_be_between:facts.duplicates": lambda: facts(duplicates=0.6),
        "warning:expect_column_values_to_be_between:facts.conflicting_labels": lambda: facts(
            conflicting_labels=0.2
        ),
        "warning:expect_column_values_to_be_between:facts.train_in_holdout": lambda: facts(
            train_in_holdout=0.06
        ),
        "warning:expect_column_values_to_be_between:facts.age_days": lambda: facts(age_days=31.0),
    },
    "labels": {"warning:expect_column_values_to_be_between:labels.share": lambda: classes(0.01, 0.5)},
}
GOOD = {"train": rows_frame, "holdout": rows_frame, "facts": facts, "labels": lambda: classes(0.5, 0.5)}
CASES = [(part, name) for part, tables in BREAKING.items() for name in tables]


def suite(part, without=None):
    made = kind_of(CONTRACT).build(LABELS, DATA, CONTRACT, part, "pandas")
    if without is not None:
        made.expectations = [each for each in made.expectations if name_of(each, part) != without]
    return made


def name_of(expectation, part):
    config = expectation.configuration
    column = config.kwargs.get("column", "table")
    return f"{config.severity.value}:{config.type}:{column if part == 'train' else f'{part}.{column}'}"


def check_frame(frame, suite, part="train"):
    return check_batch(frame_batch(frame), suite, part, quiet_context())


def check_rows(train, holdout, contract=None):
    return check_contract(rows_in_memory(train, holdout), DATA, LABELS, contract or LabelledTextContract())


@pytest.mark.parametrize("part", BREAKING)
def test_good_rows_keep_the_contract(part):
    verdict, _ = check_frame(GOOD[part](), suite(part), part)
    assert (verdict.passed, verdict.failed, verdict.evaluated) == (True, (), len(BREAKING[part]))


@pytest.mark.parametrize("part", BREAKING)
def test_every_expectation_has_its_table(part):
    assert sorted(name_of(each, part) for each in suite(part).expectations) == sorted(BREAKING[part])


def test_every_part_of_every_kind_is_tested():
    assert {name: kind.parts for name, kind in KINDS.items()} == {"labelled-text": tuple(BREAKING)}


@pytest.mark.parametrize(("part", "name"), CASES)
def test_each_expectation_alone_refuses_its_table(part, name):
    verdict, _ = check_frame(BREAKING[part][name](), suite(part), part)
    assert verdict.failed == (name,)
    assert verdict.passed is name.startswith("warning:")


@pytest.mark.parametrize(("part", "name"), CASES)
def test_without_an_expectation_its_table_wrongly_passes(part, name):
    verdict, _ = check_frame(BREAKING[part][name](), suite(part, without=name), part)
    assert (verdict.passed, verdict.failed, verdict.evaluated) == (True, (), len(BREAKING[part]) - 1)


@pytest.mark.parametrize(
    "age", [float("inf"), -2.0], ids=["no row has a time", "the newest row is of the day after tomorrow"]
)
def test_an_age_that_is_none_is_not_fresh(age):
    verdict, _ = check_frame(facts(age_days=age), suite("facts"), "facts")
    assert verdict.failed == ("warning:expect_column_values_to_be_between:facts.age_days",)


@pytest.mark.parametrize("check", ["null_texts", "duplicates", "conflicting_labels", "train_in_holdout"])
def test_a_severity_of_the_recipe_is_that_of_the_expectation(check):
    strict = CONTRACT.model_copy(
        update={check: getattr(CONTRACT, check).model_copy(update={"severity": "critical"})}
    )
    built = kind_of(strict).build(LABELS, DATA, strict, "facts", "pandas")
    verdict, _ = check_frame(facts(**{check: 0.9}), built, "facts")
    assert verdict.critical == (f"critical:expect_column_values_to_be_between:facts.{check}",)


def test_a_check_that_is_switched_off_is_not_made():
    off = dict.fromkeys(
        ("null_texts", "duplicates", "conflicting_labels", "train_in_holdout", "label_balance", "uniqueness")
    )
    bare = LabelledTextContract.model_validate(off)
    verdict, full = check_rows(good_rows(), good_rows(5), bare)
    assert set(full) == {"train", "holdout"}
    assert not any(finding.column == "text_folded" for finding in verdict.findings)


def test_facts_out_of_counts():
    """Of ten rows three train, two hold out, and five were dropped."""
    train = LabelledTexts(("Great, phone", "bad", "so so"), ("good", "bad", "ugly"))
    holdout = LabelledTexts(("great PHONE!", "other"), ("good", "bad"))
    cleaned = {"empty_texts": 2, "exact_duplicates": 1, "conflicting_labels": 2, "whitespace": 7}
    counts = count_rows(train, holdout, cleaned)
    assert counts.raw == 10
    assert text_facts(counts, LABELS) == TextFacts(0.2, 0.1, 0.2, 0.5, {"bad": 1 / 3, "good": 1 / 3})


def test_facts_of_nothing():
    nothing = count_rows(LabelledTexts(), LabelledTexts(), {})
    assert text_facts(nothing, LABELS) == TextFacts(0.0, 0.0, 0.0, 0.0, {"bad": 0.0, "good": 0.0})


def test_the_age_of_the_newest_row():
    now = datetime(2024, 5, 1, tzinfo=UTC)
    assert age_in_days(now - timedelta(hours=36), now) == 1.5
    assert age_in_days(None, now) == float("inf")


def test_rows_that_cleaning_dropped_are_part_of_the_verdict():
    rows = rows_in_memory(good_rows(), LabelledTexts(), {"empty_texts": 30})
    verdict, _ = check_contract(rows, DATA, LABELS, LabelledTextContract())
    assert verdict.failed == ("warning:expect_column_values_to_be_between:facts.null_texts",)


def test_counts_go_with_a_finding():
    verdict, _ = check_frame(rows_frame(label=["ugly", "ugly"]), suite("train"))
    finding = next(each for each in verdict.findings if not each.passed)
    assert (finding.rows, finding.unexpected, finding.severity) == (20, 2, "critical")


def test_a_missing_column_fails_and_does_not_raise():
    verdict, _ = check_frame(rows_frame().drop(columns="label"), suite("train"))
    assert not verdict.passed
    assert "critical:expect_column_values_to_be_in_set:label" in verdict.failed


def test_no_value_stands_in_what_leaves_the_party(caplog, capfd):
    rows = LabelledTexts(
        tuple(f"write to {SECRET} {number}" for number in range(30)), tuple(f"{SECRET}" for _ in range(30))
    )
    with caplog.at_level(logging.DEBUG):
        verdict, full = check_rows(rows, rows)
    assert not verdict.passed
    assert "critical:expect_column_values_to_be_in_set:label" in verdict.failed
    assert "critical:expect_column_values_to_be_in_set:holdout.label" in verdict.failed
    printed = capfd.readouterr()
    for said in (repr(verdict), caplog.text, printed.out, printed.err):
        assert SECRET not in said
    assert set(full) == {"train", "holdout", "facts", "labels"}
    for part in ("train", "holdout"):  # the party itself sees what is wrong
        assert SECRET in json.dumps(full[part].to_json_dict())


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    check_rows(good_rows(), good_rows())
    assert list(tmp_path.iterdir()) == []


def test_a_holdout_may_be_small_and_lack_a_class():
    holdout = LabelledTexts(("only one",), ("good",))
    verdict, _ = check_rows(good_rows(), holdout)
    assert (verdict.passed, verdict.failed) == (True, ())
    _, full = check_rows(good_rows(), LabelledTexts())
    assert set(full) == {"train", "facts", "labels"}


def test_a_missing_label_is_null_to_the_contract():
    rows = good_rows()
    verdict, _ = check_rows(LabelledTexts((*rows.texts, "bare"), (*rows.labels, "")), LabelledTexts())
    assert verdict.failed == ("critical:expect_column_values_to_not_be_null:label",)
