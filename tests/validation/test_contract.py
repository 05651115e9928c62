"""Every expectation of the contract for labelled text is needed, and no verdict holds a value."""

import logging

import pytest

from fedmodels.data.rows import LabelledTexts
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData
from infra.private_files import read_json, write_json
from validation.contract import check_frame, check_labelled_text
from validation.suites.labelled_text import fold, labelled_text_frame, labelled_text_suite

SECRET = "jane.doe@example.org"
LABELS = ("bad", "good")
MIN_ROWS, LONGEST = 10, 100
DATA = DataConfig(
    parties={"shop-a": PartyData(train="a.csv"), "shop-b": PartyData(train="b.csv")},
    coordinator=CoordinatorData(table="own.csv"),
    min_rows=MIN_ROWS,
    max_text_length=LONGEST,
)


def good_rows(count=20):
    return LabelledTexts(
        tuple(f"text number {number}" for number in range(count)),
        tuple(LABELS[number % 2] for number in range(count)),
    )


def frame(**columns):
    """A frame that keeps the contract, but for the given values of its first rows."""
    made = labelled_text_frame(good_rows())
    for column, values in columns.items():
        for row, value in enumerate(values):
            made.loc[row, column] = value
    return made


def one_label():
    made = frame()
    made["label"] = "good"
    return made


BREAKING = {
    "critical:expect_table_columns_to_match_set:table": lambda: frame().assign(email=SECRET),
    "critical:expect_column_values_to_be_of_type:text": lambda: frame(text=[b"bytes"]),
    "critical:expect_column_values_to_not_be_null:text": lambda: frame(text=[None]),
    "critical:expect_column_value_lengths_to_be_between:text": lambda: frame(text=[""]),
    "warning:expect_column_value_lengths_to_be_between:text": lambda: frame(text=["x" * (LONGEST + 1)]),
    "critical:expect_column_values_to_not_be_null:label": lambda: frame(label=[None]),
    "critical:expect_column_values_to_be_in_set:label": lambda: frame(label=["ugly"]),
    "critical:expect_column_unique_value_count_to_be_between:label": one_label,
    "warning:expect_column_proportion_of_unique_values_to_be_between:text_folded": lambda: frame(
        text_folded=["same"] * 6
    ),
    "critical:expect_table_row_count_to_be_between:table": lambda: labelled_text_frame(
        good_rows(MIN_ROWS - 1)
    ),
}


def suite(without=None):
    made = labelled_text_suite(LABELS, MIN_ROWS, LONGEST)
    if without is not None:
        made.expectations = [each for each in made.expectations if name_of(each) != without]
    return made


def name_of(expectation):
    config = expectation.configuration
    return f"{config.severity.value}:{config.type}:{config.kwargs.get('column', 'table')}"


def test_good_rows_keep_the_contract():
    verdict, _ = check_frame(frame(), suite())
    assert (verdict.passed, verdict.failed, verdict.evaluated) == (True, (), len(BREAKING))


def test_every_expectation_has_its_table():
    assert sorted(map(name_of, suite().expectations)) == sorted(BREAKING)


@pytest.mark.parametrize("name", BREAKING)
def test_each_expectation_alone_refuses_its_table(name):
    verdict, _ = check_frame(BREAKING[name](), suite())
    assert verdict.failed == (name,)
    assert verdict.passed is name.startswith("warning:")


@pytest.mark.parametrize("name", BREAKING)
def test_without_an_expectation_its_table_wrongly_passes(name):
    verdict, _ = check_frame(BREAKING[name](), suite(without=name))
    assert (verdict.passed, verdict.failed, verdict.evaluated) == (True, (), len(BREAKING) - 1)


def test_a_missing_column_fails_and_does_not_raise():
    verdict, _ = check_frame(frame().drop(columns="label"), suite())
    assert not verdict.passed
    assert "critical:expect_column_values_to_be_in_set:label" in verdict.failed


def test_no_value_stands_in_what_leaves_the_party(tmp_path, caplog, capfd):
    rows = LabelledTexts(
        tuple(f"write to {SECRET} {number}" for number in range(30)), tuple(f"{SECRET}" for _ in range(30))
    )
    with caplog.at_level(logging.DEBUG):
        verdict, full = check_labelled_text(rows, rows, DATA, LABELS)
    assert not verdict.passed
    assert "critical:expect_column_values_to_be_in_set:label" in verdict.failed
    assert "critical:expect_column_values_to_be_in_set:holdout.label" in verdict.failed
    printed = capfd.readouterr()
    for said in (repr(verdict), caplog.text, printed.out, printed.err):
        assert SECRET not in said
    assert set(full) == {"train", "holdout"}
    for part, result in full.items():  # the party itself sees what is wrong
        write_json(tmp_path / f"{part}.json", result)
        assert SECRET in (tmp_path / f"{part}.json").read_text()
        assert read_json(tmp_path / f"{part}.json")["success"] is False


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    check_labelled_text(good_rows(), good_rows(), DATA, LABELS)
    assert list(tmp_path.iterdir()) == []


def test_a_holdout_may_be_small_and_lack_a_class():
    holdout = LabelledTexts(("only one",), ("good",))
    verdict, _ = check_labelled_text(good_rows(), holdout, DATA, LABELS)
    assert (verdict.passed, verdict.failed) == (True, ())
    verdict, full = check_labelled_text(good_rows(), LabelledTexts(), DATA, LABELS)
    assert (verdict.evaluated, set(full)) == (len(BREAKING), {"train"})


def test_a_missing_label_is_null_to_the_contract():
    rows = good_rows()
    verdict, _ = check_labelled_text(
        LabelledTexts((*rows.texts, "bare"), (*rows.labels, "")), LabelledTexts(), DATA, LABELS
    )
    assert verdict.failed == ("critical:expect_column_values_to_not_be_null:label",)


def test_folding():
    assert fold("Great, phone!") == fold("great PHONE")
    assert fold("!!!") == "!!!"
    assert fold("好用。") == "好用"
