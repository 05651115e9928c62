"""A table that is larger than memory is checked in little of it: measured in a process of its own."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

BATCH, CHARACTERS = 10_000, 400
CHECK = """
import json, resource, sys
from datetime import UTC, datetime
from pathlib import Path
import great_expectations, great_expectations.expectations, pandas, pyarrow.parquet
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData, Recipe
from infra.settings import Tables
from tasks.party.contract import Terms, check_tables

folder, most_in_memory = Path(sys.argv[1]), int(sys.argv[2])
parties = {"shop-a": PartyData(train="own"), "shop-b": PartyData(train="own")}
recipe = Recipe(
    name="own",
    data=DataConfig(parties=parties, coordinator=CoordinatorData(table="own")),
    contract={"rows_in_memory": most_in_memory},
)
tables = Tables(train=folder / "train.parquet", expectations=folder / "expectations.yaml")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
outcome = check_tables(Terms(recipe, ("0", "1"), tables), datetime.now(UTC), folder)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
verdict = outcome.verdict
evaluated = all(finding.evaluated for finding in verdict.findings)
print(json.dumps({
    "kib": peak - before, "rows": outcome.counts.raw, "failed": verdict.failed, "evaluated": evaluated,
}))
"""
OWN = """
expectations:
  - {type: expect_column_values_to_be_unique, kwargs: {column: number}}
  - {type: expect_column_values_to_match_regex, kwargs: {column: text, regex: "^[0-9]"}}
  - {type: expect_column_values_to_be_in_set, kwargs: {column: number, value_set: [-1]}, severity: warning}
"""


def write_table(folder, rows):
    schema = pa.schema([("text", pa.string()), ("label", pa.string()), ("number", pa.int64())])
    with pq.ParquetWriter(folder / "train.parquet", schema) as writer:
        for start in range(0, rows, BATCH):
            numbers = range(start, start + BATCH)
            texts = [f"{number} " + f"{number * 7919} word " * (CHARACTERS // 15) for number in numbers]
            labels = [str(number % 2) for number in numbers]
            writer.write_table(pa.table([texts, labels, list(numbers)], schema=schema))
    (folder / "expectations.yaml").write_text(OWN)


def peak_of(folder, rows, most_in_memory):
    write_table(folder, rows)
    called = [sys.executable, "-c", CHECK, str(folder), str(most_in_memory)]
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["rows"] == rows
    assert document["evaluated"]
    assert document["failed"] == ["warning:expect_column_values_to_be_in_set:own"]
    return document["kib"] / 1024


@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_table(tmp_path):
    """SQLite fills its cache and no more; in memory, 70,000 further rows take 200 MB."""
    small = peak_of(tmp_path, 30_000, 1000)
    large = peak_of(tmp_path, 100_000, 1000)
    assert large < small + 80
    assert large < 200
