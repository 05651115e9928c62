"""The rows of the last trainings, kept by their keyed hash where nobody else looks."""

from pathlib import Path

import numpy as np
import pytest

from fedmodels.data.prepared import LabelledTexts, PreparedTables
from fedmodels.errors import DataRefused
from fedmodels.recipe import Recipe
from infra.settings import Tables
from tasks.party.data import keep_trained_rows, prepare_data
from tasks.party.kept_rows import KEPT_TRAININGS, drift_folder, keep_rows, read_rows, rows_folder
from tests.tasks.party.test_data import make_session, write

ROWS = PreparedTables(LabelledTexts(("a", "b"), ("x", "y")), LabelledTexts(("c",), ("x",)))


def recipe(**columns) -> Recipe:
    data = {"parties": {"a": {"train": "own"}, "b": {"train": "own"}}, "coordinator": {"table": "own"}}
    return Recipe.model_validate({"name": "tiny", "data": data, "drift": {"columns": columns}})


@pytest.fixture
def folder(tmp_path) -> Path:
    return drift_folder(tmp_path, "tiny")


def test_they_come_back_as_they_were_and_are_private(folder):
    assert read_rows(folder, "h") is None
    keep_rows(folder, "h", ROWS, Tables(), recipe())
    found = read_rows(folder, "h")
    assert (found.train.rows, found.holdout) == (ROWS.train, ROWS.holdout)
    assert found.texts == {"a", "b", "c"}
    for inner in (folder.parent, folder, rows_folder(folder, "h").parent, rows_folder(folder, "h")):
        assert inner.stat().st_mode & 0o077 == 0


def test_only_the_last_trainings_are_kept(folder):
    for number in range(KEPT_TRAININGS):
        keep_rows(folder, f"h{number}", ROWS, Tables(), recipe())
    keep_rows(folder, "h0", ROWS, Tables(), recipe())
    keep_rows(folder, "new", ROWS, Tables(), recipe())
    kept = {path.name for path in rows_folder(folder, "x").parent.iterdir()}
    assert len(kept) == KEPT_TRAININGS
    assert {"h0", "new"} <= kept
    assert "h1" not in kept


def test_further_columns_are_those_of_the_rows_that_are_trained_on(folder, tmp_path):
    table, fresh = tmp_path / "train.csv", tmp_path / "fresh.csv"
    table.write_text("text,label,price,brand\na,x,1.5,n\nc,x,9,n\n")
    fresh.write_text("text,label,price,brand\nb,y,,m\n")
    keep_rows(folder, "h", ROWS, Tables(train=table, fresh=fresh), recipe(price="number", brand="category"))
    columns = read_rows(folder, "h").train.columns
    assert columns["brand"] == ["n", "m"]
    assert columns["price"][0] == 1.5
    assert np.isnan(columns["price"][1])
    with pytest.raises(DataRefused, match="no column 'colour'"):
        keep_rows(folder, "other", ROWS, Tables(train=table), recipe(colour="category"))
    assert read_rows(folder, "other") is None


def test_a_session_keeps_what_it_trains_on_and_nothing_that_was_refused(tmp_path):
    session = make_session(tmp_path)
    prepare_data.fn(session)
    keep_trained_rows.fn(session)
    own = drift_folder(session.workspace, "own")
    assert read_rows(own, session.data_hash).train.rows == session.prepared.train
    write(tmp_path / "train.csv", [(f"other {n}", "1") for n in range(30)])
    prepare_data.fn(session)
    session.prepared = None
    keep_trained_rows.fn(session)
    assert read_rows(own, session.data_hash) is None
