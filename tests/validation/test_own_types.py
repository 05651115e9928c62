"""Every type of Great Expectations: one that a party may use has one verdict, however many rows there are."""

from datetime import date

import pandas as pd
import pytest
import yaml

from fedmodels.contract_schema import LabelledTextContract
from fedmodels.data.columns import BATCH_ROWS
from fedmodels.errors import InputError
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData
from validation.own_expectations import NOT_ALIKE, OF_ANOTHER_PLACE, read_own_expectations
from validation.own_tables import check_own_tables, own_suites

DATA = DataConfig(
    parties={"shop-a": PartyData(train="a"), "shop-b": PartyData(train="b")},
    coordinator=CoordinatorData(table="own"),
)
COLUMNS = "text, label, stars, twice, at, born, tags, maybe"
KEPT = yaml.safe_load(f"""
column_distinct_values_to_be_in_set: {{column: stars, value_set: [1, 2, 3, 4, 5]}}
column_distinct_values_to_contain_set: {{column: label, value_set: [good]}}
column_distinct_values_to_equal_set: {{column: stars, value_set: [1, 2, 3, 4, 5]}}
column_kl_divergence_to_be_less_than:
  {{column: label, partition_object: {{values: [good, bad], weights: [0.5, 0.5]}}, threshold: 0.01}}
column_max_to_be_between: {{column: at, max_value: 2024-02-01}}
column_mean_to_be_between: {{column: stars, min_value: 3, max_value: 3}}
column_median_to_be_between: {{column: twice, min_value: 6, max_value: 6}}
column_min_to_be_between: {{column: at, min_value: 2024-01-01 00:00:00, max_value: 2024-01-01 00:00:00}}
column_most_common_value_to_be_in_set: {{column: maybe, value_set: [1]}}
column_pair_values_a_to_be_greater_than_b: {{column_A: twice, column_B: stars}}
column_pair_values_to_be_equal: {{column_A: stars, column_B: stars}}
column_pair_values_to_be_in_set:
  {{column_A: stars, column_B: twice, value_pairs_set: [[1, 2], [2, 4], [3, 6], [4, 8], [5, 10]]}}
column_proportion_of_non_null_values_to_be_between: {{column: maybe, min_value: 0.5, max_value: 0.5}}
column_proportion_of_unique_values_to_be_between: {{column: text, min_value: 1}}
column_quantile_values_to_be_between:
  {{column: stars, quantile_ranges: {{quantiles: [0.1, 0.5], value_ranges: [[1, 1], [3, 3]]}}}}
column_stdev_to_be_between: {{column: stars, min_value: 1.4, max_value: 1.5}}
column_sum_to_be_between: {{column: stars, min_value: 300, max_value: 300}}
column_to_exist: {{column: tags}}
column_unique_value_count_to_be_between: {{column: stars, min_value: 5, max_value: 5}}
column_value_lengths_to_be_between: {{column: text, min_value: 8, max_value: 9}}
column_value_lengths_to_equal: {{column: maybe, value: 1}}
column_value_z_scores_to_be_less_than: {{column: stars, threshold: 1.5, double_sided: true}}
column_values_to_be_between: {{column: at, min_value: 2024-01-01 00:00:00, max_value: 2024-01-02 12:00:00}}
column_values_to_be_in_set: {{column: stars, value_set: [1, 2, 3, 4, 5]}}
column_values_to_be_null: {{column: maybe, mostly: 0.5}}
column_values_to_be_unique: {{column: text}}
column_values_to_match_regex: {{column: tags, regex: '"new"'}}
column_values_to_match_regex_list: {{column: text, regex_list: [text, nothing]}}
column_values_to_not_be_in_set: {{column: stars, value_set: [7]}}
column_values_to_not_be_null: {{column: tags}}
column_values_to_not_be_outliers: {{column: stars, method: iqr, multiplier: 1.5}}
column_values_to_not_match_regex: {{column: text, regex: z}}
column_values_to_not_match_regex_list: {{column: text, regex_list: [z]}}
compound_columns_to_be_unique: {{column_list: [text, label]}}
multicolumn_sum_to_equal: {{column_list: [stars, twice], sum_total: 9, mostly: 0.2}}
multicolumn_values_to_be_equal: {{column_list: [stars, stars]}}
select_column_values_to_be_unique_within_record: {{column_list: [stars, twice]}}
table_column_count_to_be_between: {{min_value: 8, max_value: 8}}
table_column_count_to_equal: {{value: 8}}
table_columns_to_match_ordered_list: {{column_list: [{COLUMNS}]}}
table_columns_to_match_set: {{column_set: [{COLUMNS}]}}
table_row_count_to_be_between: {{min_value: 100, max_value: 100}}
table_row_count_to_equal: {{value: 100}}
""")
"""By type, without its `expect_`: what holds of `rows`."""


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "train.parquet"
    frame = pd.DataFrame(
        {
            "text": [f"a text {number}" for number in range(100)],
            "label": ["good", "bad"] * 50,
            "stars": [1, 2, 3, 4, 5] * 20,
            "twice": [2, 4, 6, 8, 10] * 20,
            "at": pd.to_datetime(["2024-01-01 00:00", "2024-01-02 12:00"] * 50),
            "born": [date(2001, 2, 3)] * 100,
            "tags": [["new"], ["new", "sold"]] * 50,
            "maybe": pd.Series([1, None] * 50, dtype="Int64"),
        }
    )
    frame.to_parquet(path)
    return path


def own(folder, *entries):
    path = folder / "expectations.yaml"
    path.write_text(yaml.safe_dump({"expectations": list(entries)}))
    return read_own_expectations(path)


def entry(type_, kwargs):
    return {"type": f"expect_{type_}", "kwargs": kwargs}


def verdict_of(tmp_path, table, entries, rows_in_memory):
    contract = LabelledTextContract(rows_in_memory=rows_in_memory)
    verdict, _ = check_own_tables(own(tmp_path, *entries), {"train": table}, DATA, contract, tmp_path)
    return verdict


def test_every_type_of_great_expectations_has_its_place():
    """A new one is noticed here: it is checked, below, or refused."""
    import great_expectations.expectations.core  # noqa: F401
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    kept = {f"expect_{type_}" for type_ in KEPT}
    places = [*kept, *NOT_ALIKE, *OF_ANOTHER_PLACE]
    assert sorted(places) == sorted(list_registered_expectation_implementations())


def test_a_type_that_is_not_refused_has_one_verdict_for_any_number_of_rows(tmp_path, rows):
    entries = [entry(type_, kwargs) for type_, kwargs in KEPT.items()]
    large, small = (verdict_of(tmp_path, rows, entries, most) for most in (50, 200))
    assert [finding for finding in small.findings if not (finding.passed and finding.evaluated)] == []
    assert large == small


@pytest.mark.parametrize("type_", NOT_ALIKE)
def test_a_type_that_not_every_engine_evaluates_alike_is_refused(tmp_path, rows, type_):
    with pytest.raises(InputError) as caught:
        own_suites(own(tmp_path, {"type": type_, "kwargs": {"column": "text"}}), {"train": rows}, DATA)
    assert caught.value.code == "expectation-engine"
    assert str(caught.value) == (
        f"Expectation 1 of the party's expectations.yaml has the type '{type_}', which the engines "
        f"that check a party's tables do not evaluate alike; {NOT_ALIKE[type_]}."
    )
    advised = [word.rstrip(",") for word in NOT_ALIKE[type_].split() if word.startswith("expect_")]
    assert all(word.removeprefix("expect_") in KEPT for word in advised)


@pytest.mark.parametrize("late", ["many", "2.5", "", "true"])
@pytest.mark.parametrize("checked", ["column_value_lengths_to_equal", "column_values_to_be_between"])
def test_a_type_of_csv_is_that_of_the_whole_column(tmp_path, late, checked):
    """`late` stands where another batch of rows is read."""
    kwargs = {"column": "stars", **({"value": 1} if "lengths" in checked else {"max_value": 5})}
    verdicts = []
    for before in (10, BATCH_ROWS):
        table = tmp_path / f"{before}.csv"
        table.write_text("text,label,stars\n" + "a,good,5\n" * before + f"a,good,{late}\n")
        verdicts.append(verdict_of(tmp_path, table, [entry(checked, kwargs)], 200_000).findings[0])
    few, many = verdicts
    assert (few.evaluated, few.passed) == (many.evaluated, many.passed)
    if few.unexpected is not None and many.unexpected is not None:
        assert (few.unexpected > 1) == (many.unexpected > 1)
