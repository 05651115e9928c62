"""A party's own expectations of its tables as they are stored; a wrong file is refused by name and code."""

import pandas as pd
import pytest

from fedmodels.contract_schema import LabelledTextContract
from fedmodels.data.columns import Reading
from fedmodels.errors import DataRefused, InputError
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData
from validation import own_tables
from validation.own_expectations import read_own_expectations
from validation.own_tables import own_suites

SECRET = "jane.doe@example.org"
COLUMN = "credits"
DATA = DataConfig(
    parties={"shop-a": PartyData(train="a"), "shop-b": PartyData(train="b")},
    coordinator=CoordinatorData(table="own"),
)
BETWEEN = "{type: expect_column_values_to_be_between, kwargs: {column: credits, min_value: 1, max_value: 5}"


@pytest.fixture(params=["csv", "parquet"])
def train(request, tmp_path):
    frame = pd.DataFrame(
        {
            "text": [f"write to {SECRET} {number}" for number in range(20)],
            "label": ["good", "bad"] * 10,
            COLUMN: [1, 2, 3, 4, 5] * 4,
        }
    )
    path = tmp_path / f"train.{request.param}"
    frame.to_csv(path, sep=";", index=False) if request.param == "csv" else frame.to_parquet(path)
    return path


@pytest.fixture(params=[100, 5], ids=["memory", "disk"])
def check_own_tables(request, tmp_path):
    """Tables of twenty rows, which are more or fewer than memory may hold."""
    contract = LabelledTextContract(rows_in_memory=request.param)
    return lambda own, tables, data: own_tables.check_own_tables(own, tables, data, contract, tmp_path)


def own(folder, *entries):
    path = folder / "expectations.yaml"
    path.write_text("expectations:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return read_own_expectations(path)


def test_rows_that_keep_them(check_own_tables, tmp_path, train):
    verdict, full = check_own_tables(own(tmp_path, BETWEEN + "}"), {"train": train}, DATA)
    (finding,) = verdict.findings
    assert (finding.passed, finding.severity, finding.rows, finding.unexpected) == (True, "critical", 20, 0)
    assert set(full) == {"own_train"}


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_a_failure_names_type_and_severity_and_no_column(check_own_tables, tmp_path, train, severity):
    entry = BETWEEN.replace("max_value: 5", "max_value: 4") + f", severity: {severity}}}"
    verdict, _ = check_own_tables(own(tmp_path, entry), {"train": train}, DATA)
    assert verdict.failed == (f"{severity}:expect_column_values_to_be_between:own",)
    assert verdict.passed is (severity == "warning")
    assert verdict.findings[0].unexpected == 4
    for private in (COLUMN, SECRET):
        assert private not in repr(verdict)


@pytest.mark.parametrize(
    "entry",
    [
        "{type: expect_column_values_to_match_regex, kwargs: {column: text, regex: 'write to'}}",
        "{type: expect_column_mean_to_be_between, kwargs: {column: credits, min_value: 2, max_value: 4}}",
        "{type: expect_compound_columns_to_be_unique, kwargs: {column_list: [text, label]}}",
        "{type: expect_column_to_exist, kwargs: {column: credits}}",
        "{type: expect_table_row_count_to_equal, kwargs: {value: 20}}",
        "{type: expect_column_values_to_be_in_set, kwargs: {column: label, value_set: [a]}, table: holdout}",
    ],
)
def test_any_expectation_of_great_expectations(check_own_tables, tmp_path, train, entry):
    verdict, _ = check_own_tables(own(tmp_path, entry), {"train": train, "holdout": train}, DATA)
    assert verdict.passed is ("holdout" not in entry)
    assert all(finding.evaluated for finding in verdict.findings)


def test_a_column_that_should_exist_and_does_not_is_a_finding(check_own_tables, tmp_path, train):
    entry = "{type: expect_column_to_exist, kwargs: {column: basket}}"
    verdict, _ = check_own_tables(own(tmp_path, entry), {"train": train}, DATA)
    assert verdict.failed == ("critical:expect_column_to_exist:own",)


def test_what_cannot_be_evaluated_has_failed_and_says_so(check_own_tables, tmp_path, train):
    entry = "{type: expect_column_values_to_match_regex, kwargs: {column: text, regex: '('}}"
    verdict, _ = check_own_tables(own(tmp_path, entry), {"train": train}, DATA)
    assert (verdict.passed, verdict.findings[0].evaluated) == (False, False)


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        (
            "{type: expect_column_to_shine}",
            "expectation-unknown",
            "has the type 'expect_column_to_shine'",
        ),
        (
            "{type: unexpected_rows_expectation, kwargs: {unexpected_rows_query: select 1}}",
            "expectation-unknown",
            "which is none that can be checked here",
        ),
        (
            "{type: expect_column_values_to_be_in_set, kwargs: {column: label, valueset: [jane]}}",
            "expectation-arguments",
            "has the unknown argument 'valueset'",
        ),
        (
            "{type: expect_column_values_to_be_in_set, kwargs: {column: label}}",
            "expectation-arguments",
            "lacks the argument 'value_set'",
        ),
        (
            "{type: expect_column_values_to_be_between, kwargs: {column: label, min_value: jane}}",
            "expectation-arguments",
            "has a wrong value for the argument 'min_value'",
        ),
        (
            "{type: expect_column_values_to_be_between, kwargs: {column: label}}",
            "expectation-arguments",
            "has arguments that do not go together",
        ),
        (
            "{type: expect_column_to_exist, kwargs: {column: label, result_format: COMPLETE}}",
            "expectation-arguments",
            "has the unknown argument 'result_format'",
        ),
        (
            "{type: expect_column_values_to_be_unique, kwargs: {column: jane}}",
            "expectation-column-missing",
            "names a column that the party's train table does not have",
        ),
        (
            "{type: expect_compound_columns_to_be_unique, kwargs: {column_list: [text, jane]}}",
            "expectation-column-missing",
            "names a column",
        ),
        (
            "{type: expect_table_row_count_to_equal, kwargs: {value: 1}, table: holdout}",
            "expectation-table-missing",
            "its holdout table, which its settings do not name",
        ),
    ],
)
def test_each_fault_is_one_sentence_with_its_code_and_no_value(tmp_path, train, entry, code, said):
    fine = BETWEEN + "}"
    with pytest.raises(InputError) as caught:
        own_suites(own(tmp_path, fine, entry), {"train": train}, DATA)
    message = str(caught.value)
    assert caught.value.code == code
    assert said in message
    assert "\n" not in message
    for private in (str(tmp_path), "jane", COLUMN):
        assert private not in message
    if code != "expectation-table-missing":
        assert message.startswith("Expectation 2 of the party's expectations.yaml")


@pytest.mark.parametrize(
    "arguments",
    [
        "{column: label, value_set: {$PARAMETER: jane}}",
        "{column: label, value_set: [a, [{$PARAMETER: jane}]]}",
        "{column: label, value_set: {$PARAMETER.upstream: jane}}",
        "{$PARAMETER: jane}",
        "{column: label, value_set: [&again [a, *again], {x: {$PARAMETER: jane}}]}",
    ],
)
def test_a_value_that_is_left_open_is_refused_when_the_file_is_read(tmp_path, arguments):
    entry = f"{{type: expect_column_values_to_be_in_set, kwargs: {arguments}}}"
    with pytest.raises(InputError) as caught:
        own(tmp_path, BETWEEN + "}", entry)
    assert caught.value.code == "expectation-arguments"
    assert str(caught.value) == (
        "Expectation 2 of the party's expectations.yaml has an argument that is a $PARAMETER, "
        "and nothing here gives it a value; write the value itself."
    )


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (None, "expectations-missing", "cannot be read"),
        ("expectations: [", "expectations-invalid", "is not valid YAML"),
        ("expectations: [{type: 2026-02-30}]", "expectations-invalid", "is not valid YAML in line 1: there"),
        ("expectations: [{kwargs: {}}]", "expectations-invalid", "expectations.0.type is missing"),
        ("expectations: [{type: x, sevrity: warning}]", "expectations-invalid", "sevrity is not a known key"),
        ("expectations: [{type: x, severity: info}]", "expectations-invalid", "severity must be critical or"),
        ("- type: x", "expectations-invalid", "1 fault"),
        ("", "expectations-invalid", "1 fault"),
    ],
)
def test_a_file_that_is_none(tmp_path, text, code, said):
    path = tmp_path / "expectations.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_own_expectations(path)
    assert caught.value.code == code
    assert said in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_damaged_table_is_a_fault_of_the_data(tmp_path):
    path = tmp_path / "train.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataRefused) as caught:
        own_suites(own(tmp_path, BETWEEN + "}"), {"train": path}, DATA)
    assert caught.value.code == "table-damaged"


def test_spark_gets_a_table_without_the_line_that_names_the_separator(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        own_tables,
        "spark_batch",
        lambda path, _scratch, delimiter: given.append((path.name, path.read_text(), delimiter)),
    )
    table, scratch = tmp_path / "rows.csv", tmp_path / "scratch"
    scratch.mkdir()
    reading = Reading(table, ("text", "label"), "The train table", DataRefused)
    for start in ("", "sep=;\n"):
        table.write_text(f"{start}text;label\na;1\n")
        list(own_tables._spark_batch(reading, scratch))
    assert given == [("rows.csv", "text;label\na;1\n", ";")] * 2
    assert list(scratch.iterdir()) == []
