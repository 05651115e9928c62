"""Columns beside the rows that a party keeps: they come back, in their own bytes, and older ones are read."""

import tracemalloc

import numpy as np
import pytest

from tasks.party.kept_columns import read_columns, write_columns

COLUMNS = {
    "preis (EUR)/Stück": [1.5, None, -2.0],
    "größe": ["xl", None, "quantité 数量"],
    "empty": [None, None, None],
}


@pytest.mark.parametrize("columns", [COLUMNS, {}, {"price": [], "brand": []}])
def test_they_come_back_as_they_were_and_are_private(tmp_path, columns):
    write_columns(tmp_path, columns)
    assert read_columns(tmp_path) == columns
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_one_long_category_costs_its_own_bytes_and_not_those_of_every_row(tmp_path):
    """Padded to the longest, these 4,000 rows are 320 MB."""
    brand = ["x" * 20_000, *(f"brand {number % 50}" for number in range(3999))]
    write_columns(tmp_path, {})  # imports
    tracemalloc.start()
    try:
        write_columns(tmp_path, {"brand": brand})
        assert read_columns(tmp_path) == {"brand": brand}
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1e5


def test_what_an_older_version_kept_is_read(tmp_path):
    arrays = {"category/brand": np.array(["n", "", "m"]), "number/price": np.array([1.0, 2.5, 3.0])}
    np.savez(tmp_path / "columns.npz", **arrays)
    assert read_columns(tmp_path) == {"brand": ["n", None, "m"], "price": [1.0, 2.5, 3.0]}


def test_what_is_garbled_or_away_is_none(tmp_path):
    assert read_columns(tmp_path) is None
    write_columns(tmp_path, COLUMNS)
    path = tmp_path / "columns.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert read_columns(tmp_path) is None
