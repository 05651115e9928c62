"""The benchmark runs, answers with what it promises, and says so when that is missed."""

import json

import pytest

from bench import pinning
from bench.pinning import compare, main, write_table_of

WAYS = [
    *("sha256sum and copy", "pin", "unchanged", "same bytes, another time"),
    "last row another, same length",
]


def test_a_table_has_the_size_that_was_asked_for(tmp_path):
    write_table_of(tmp_path / "t.parquet", 2.0)
    assert (tmp_path / "t.parquet").stat().st_size == pytest.approx(2e6, rel=0.05)


def test_every_way_is_measured_and_nothing_is_left(tmp_path):
    found = compare(tmp_path, 0.5, 2)
    assert list(found) == WAYS
    assert all(seconds["wall"] > 0 for seconds in found.values())
    assert {path.name for path in tmp_path.iterdir()} == {"table.parquet", "other.parquet"}


@pytest.mark.parametrize(("pin", "status"), [(1.4, 0), (1.6, 1)])
def test_a_promise_that_is_missed_is_told(monkeypatch, capsys, tmp_path, pin, status):
    seconds = {way: {"wall": pin if way == "pin" else 1.0, "cpu": 1.0} for way in WAYS}
    monkeypatch.setattr(pinning, "compare", lambda folder, megabytes, repeats: seconds)
    monkeypatch.setattr("sys.argv", ["bench", "--json", "--plot", str(tmp_path / "plot.svg")])
    try:
        main()
        ended = 0
    except SystemExit as leaving:
        ended = leaving.code
    printed = capsys.readouterr()
    assert ended == status
    assert json.loads(printed.out)["ratio"] == {"wall": pin, "cpu": 1.0}
    assert ("promise missed" in printed.err) is bool(status)
    assert (tmp_path / "plot.svg").exists()
