from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedmodels.data.times import newest_time
from fedmodels.errors import DataRefused

SECRET = "jane@example.org"


def parquet(path, values, kind=None):
    pq.write_table(pa.table({"text": ["a"] * len(values), "written": pa.array(values, kind)}), path)
    return path


def newest(*paths, column="written"):
    return newest_time(paths, column, error=DataRefused)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([datetime(2024, 5, 1, 12), None, datetime(2023, 1, 1)], None, datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ([date(2024, 5, 1), date(2024, 4, 1)], None, datetime(2024, 5, 1, tzinfo=UTC)),
        (["2024-05-01T12:00:00+02:00", "", None], None, datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ([1714521600], pa.timestamp("s", "UTC"), datetime(2024, 5, 1, tzinfo=UTC)),
        ([1714521600000000000], pa.timestamp("ns"), datetime(2024, 5, 1, tzinfo=UTC)),
        ([None, None], pa.timestamp("s"), None),
    ],
    ids=["timestamps", "dates", "strings", "in a zone", "nanoseconds", "none at all"],
)
def test_the_newest_row(tmp_path, values, kind, expected):
    assert newest(parquet(tmp_path / "rows.parquet", values, kind)) == expected


def test_csv_and_the_newest_of_two_tables(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("text;written\na;2024-05-01\nb; \n")
    second.write_text("written,text\n2024-05-02 08:00:00-01:00,a\n")
    east = timezone(-timedelta(hours=1))
    assert newest(first, second) == datetime(2024, 5, 2, 8, tzinfo=east)


@pytest.mark.parametrize(
    ("values", "column", "code"),
    [
        ([SECRET], "written", "table-time-type"),
        ([5], "written", "table-time-type"),
        (["2024-05-01"], "nope", "table-column-missing"),
    ],
)
def test_what_is_no_time_is_refused_without_its_value(tmp_path, values, column, code):
    with pytest.raises(DataRefused) as caught:
        newest(parquet(tmp_path / "rows.parquet", values), column=column)
    assert caught.value.code == code
    assert SECRET not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
