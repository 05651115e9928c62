"""The rows of the last trainings, kept by their keyed hash where nobody else looks."""

from pathlib import Path

import pytest

from fedmodels.data.fresh import read_window
from fedmodels.data.prepared import LabelledTexts, PreparedTables, prepare_party_tables
from fedmodels.data.withdrawn import NOTHING, Withdrawn, keyed_texts
from fedmodels.drift_section import DriftSection
from fedmodels.errors import DataRefused
from fedmodels.recipe import Recipe
from infra.settings import Tables
from tasks.party.data import keep_trained_rows, prepare_data
from tasks.party.kept_rows import (
    KEPT_TRAININGS,
    drift_folder,
    keep_rows,
    kept_texts,
    let_rows_go,
    read_rows,
    rows_without,
)
from tests.tasks.party.test_data import make_session, write

ROWS = PreparedTables(LabelledTexts(("a", "b"), ("x", "y")), LabelledTexts(("c",), ("x",)))


def recipe(**columns) -> Recipe:
    data = {"parties": {"a": {"train": "own"}, "b": {"train": "own"}}, "coordinator": {"table": "own"}}
    return Recipe.model_validate({"name": "tiny", "data": data, "drift": {"columns": columns}})


@pytest.fixture
def folder(tmp_path) -> Path:
    return drift_folder(tmp_path, "tiny")


def test_they_come_back_as_they_were_and_are_private(folder):
    assert read_rows(folder, "h", "r") is None
    keep(folder, "h")
    found = read_rows(folder, "h", "r")
    assert (found.train.rows, found.holdout) == (ROWS.train, ROWS.holdout)
    assert (found.met, found.rows) == ({"a", "b", "c"}, 2)
    (own,) = (folder / "rows").iterdir()
    for inner in (folder.parent, folder, own.parent, own):
        assert inner.stat().st_mode & 0o077 == 0


def test_texts_that_recur_are_met_and_stand_in_no_reference(folder, tmp_path):
    table, fresh = tmp_path / "train.csv", tmp_path / "fresh.csv"
    table.write_text("text,label,price\na,x,1\nb,y,2\na,x,3\nd,x,4\nd,y,5\n")
    fresh.write_text("text,label,price\nb,y,6\ne,x,7\n")
    made = recipe(price="number")
    tables = Tables(train=table, fresh=fresh)
    prepared = prepare_party_tables(table, None, made.data, ("x", "y"), seed=4, fresh=fresh)
    assert prepared.repeated == {"a", "d"}
    keep_rows(folder, "h", prepared, tables, made, "r")
    found = read_rows(folder, "h", "r")
    assert set(prepared.train.texts + prepared.holdout.texts) == {"a", "b", "e"}
    assert set(found.train.rows.texts + found.holdout.texts) == {"b", "e"}
    assert found.met == {"a", "b", "d", "e"}
    prices = {"b": 2.0, "e": 7.0}
    assert found.train.columns["price"] == [prices[text] for text in found.train.rows.texts], "each row once"
    window = read_window(fresh, made.data, {}, table="fresh", without=found.met)
    assert len(window.rows) == 0


def test_rows_that_were_withdrawn_since_stand_in_no_reference(folder, tmp_path):
    table = tmp_path / "train.csv"
    table.write_text("text,label,price\n" + "".join(f"row {n},x,{n}\n" for n in range(30)))
    made, tables = recipe(price="number"), Tables(train=table)
    prepared = prepare_party_tables(table, None, made.data, ("x", "y"), seed=4)
    keep_rows(folder, "h", prepared, tables, made, "r")
    found = read_rows(folder, "h", "r")
    trained, held = prepared.train.texts[1], prepared.holdout.texts[0]
    left = rows_without(found, Withdrawn(b"key", keyed_texts([trained, held], b"key")))
    assert left.train.rows.texts == tuple(text for text in found.train.rows.texts if text != trained)
    assert left.train.columns["price"] == [float(text.split()[1]) for text in left.train.rows.texts]
    assert held not in left.holdout.texts
    assert left.name != found.name, "so that its reference is built anew"
    assert (left.met, left.rows) == (found.met, found.rows)
    assert rows_without(found, NOTHING) is found
    assert kept_texts(folder, "h") == (frozenset(prepared.train.texts), frozenset(prepared.holdout.texts))
    assert kept_texts(folder, "other") is None


def keep(folder, data_hash, run="r", tables=None, of=None):
    keep_rows(folder, data_hash, ROWS, tables or Tables(), of or recipe(), run)


def train(folder, data_hash, run, needed=()):
    keep(folder, data_hash, run)
    let_rows_go(folder, data_hash, run, lambda name: name in needed)


def kept(folder) -> set[str]:
    return {path.name.partition("-")[0] for path in (folder / "rows").iterdir()}


def test_only_the_last_trainings_are_kept(folder):
    for number in range(KEPT_TRAININGS):
        train(folder, f"h{number}", f"r{number}")
    train(folder, "h0", "again")
    train(folder, "new", "new")
    assert len(kept(folder)) == KEPT_TRAININGS
    assert {"h0", "new"} <= kept(folder)
    assert "h1" not in kept(folder)


def test_what_a_run_needs_stays_however_many_trainings_follow(folder):
    train(folder, "other", "other")
    train(folder, "champion", "first")
    for number in range(KEPT_TRAININGS + 1):
        train(folder, f"h{number}", f"r{number}", needed={"first"})
    assert "champion" in kept(folder)
    assert not {"other", "h0"} & kept(folder)
    train(folder, "last", "last", needed=())
    assert "champion" not in kept(folder)


def test_rows_that_were_not_trained_on_take_no_place_and_go_when_their_run_is_over(folder):
    for number in range(KEPT_TRAININGS):
        train(folder, f"h{number}", f"r{number}")
    for number in range(3):
        keep(folder, f"failed{number}", f"f{number}")
    trained = {f"h{number}" for number in range(KEPT_TRAININGS)}
    assert trained < kept(folder), "whoever only prepares its rows takes nobody's away"
    train(folder, "h0", "again", needed={"f1"})
    assert kept(folder) == trained | {"failed1"}
    let_rows_go(folder, "not kept", "r", lambda _run: False)
    assert kept(folder) == trained | {"failed1"}


def test_further_columns_are_those_of_the_rows_that_are_trained_on(folder, tmp_path):
    table, fresh = tmp_path / "train.csv", tmp_path / "fresh.csv"
    table.write_text("text,label,price,brand\na,x,1.5,n\nc,x,9,n\n")
    fresh.write_text("text,label,price,brand\nb,y,,m\n")
    keep(folder, "h", "r", Tables(train=table, fresh=fresh), recipe(price="number", brand="category"))
    columns = read_rows(folder, "h", "r").train.columns
    assert columns["brand"] == ["n", "m"]
    assert columns["price"] == [1.5, None]
    with pytest.raises(DataRefused, match="no column 'colour'"):
        keep(folder, "other", "r", Tables(train=table), recipe(colour="category"))
    assert read_rows(folder, "other", "r") is None


def priced(folder, tmp_path, run, prices=(1, 2), holdout=ROWS.holdout):
    """Keep the same training rows with prices of the table's, and another holdout."""
    table = tmp_path / "priced.csv"
    table.write_text(f"text,label,price\na,x,{prices[0]}\nb,y,{prices[1]}\n")
    rows = PreparedTables(ROWS.train, holdout)
    keep_rows(folder, "h", rows, Tables(train=table), recipe(price="number"), run)


def test_a_column_that_is_newly_watched_is_kept_beside_what_the_champion_needs(folder, tmp_path):
    keep(folder, "h", "champion")
    assert read_rows(folder, "h", "new", {"price"}) is None
    priced(folder, tmp_path, "new")
    assert read_rows(folder, "h", "new", {"price"}).train.columns == {"price": [1.0, 2.0]}
    assert read_rows(folder, "h", "champion").train.columns == {}
    assert read_rows(folder, "h", "champion", {"price"}).train.columns == {"price": [1.0, 2.0]}, "if it asks"


def test_another_holdout_or_other_values_of_a_column_are_kept_beside_the_old_ones(folder, tmp_path):
    priced(folder, tmp_path, "first")
    priced(folder, tmp_path, "other prices", prices=(5, 6))
    other = LabelledTexts(("d",), ("y",))
    priced(folder, tmp_path, "other holdout", holdout=other)
    found = {run: read_rows(folder, "h", run) for run in ("first", "other prices", "other holdout")}
    assert [each.train.columns["price"] for each in found.values()] == [[1.0, 2.0], [5.0, 6.0], [1.0, 2.0]]
    assert [each.holdout for each in found.values()] == [ROWS.holdout, ROWS.holdout, other]
    assert len({each.name for each in found.values()}) == 3


def test_what_is_damaged_is_not_read_and_the_next_training_writes_it_anew(folder, tmp_path):
    priced(folder, tmp_path, "r")
    (own,) = (folder / "rows").iterdir()
    whole = {path.name: path.read_bytes() for path in own.iterdir() if path.is_file()}
    assert whole.keys() == {
        "train.parquet",
        "holdout.parquet",
        "repeated.parquet",
        "columns.parquet",
        "sums.json",
    }
    for name, content in whole.items():
        for damage in (content[:-20], None):
            (own / name).unlink() if damage is None else (own / name).write_bytes(damage)
            if name != "sums.json":
                assert read_rows(folder, "h", "r") is None
            priced(folder, tmp_path, "r")
            assert read_rows(folder, "h", "r").train.columns == {"price": [1.0, 2.0]}
            assert (own / name).read_bytes() == content


def test_what_is_whole_is_not_written_again(folder, tmp_path):
    priced(folder, tmp_path, "r")
    (own,) = (folder / "rows").iterdir()
    before = {path: path.stat().st_ino for path in own.iterdir() if path.is_file()}
    priced(folder, tmp_path, "r")
    assert {path: path.stat().st_ino for path in before} == before


def test_rows_of_an_older_version_are_read(folder, tmp_path):
    priced(folder, tmp_path, "r")
    (own,) = (folder / "rows").iterdir()
    (own / "sums.json").unlink()
    own.rename(own.with_name("h"))
    assert read_rows(folder, "h", "r").train.columns == {"price": [1.0, 2.0]}
    (own.with_name("h") / "train.parquet").unlink()
    assert read_rows(folder, "h", "r") is None


def test_a_session_keeps_what_it_trains_on_and_nothing_that_was_refused(tmp_path):
    session = make_session(tmp_path)
    prepare_data.fn(session)
    keep_trained_rows.fn(session)
    own = drift_folder(session.workspace, "own")
    assert read_rows(own, session.data_hash, session.run).train.rows == session.prepared.train
    write(tmp_path / "train.csv", [(f"other {n}", "1") for n in range(30)])
    prepare_data.fn(session)
    session.prepared = None
    keep_trained_rows.fn(session)
    assert read_rows(own, session.data_hash, session.run) is None


def test_a_column_that_is_lacking_is_named_only_if_the_policy_lets_it_be(tmp_path):
    for allowed, named in ((None, True), (("price",), True), (("text",), False)):
        session = make_session(tmp_path)
        recipe_with_price = session.plan.recipe.model_copy(
            update={"drift": DriftSection(columns={"price": "number"})}
        )
        session.plan = session.plan.model_copy(update={"recipe": recipe_with_price})
        session.policy = session.policy.model_copy(update={"drift_features": allowed})
        prepare_data.fn(session)
        with pytest.raises(DataRefused) as caught:
            keep_trained_rows.fn(session)
        assert ("price" in str(caught.value)) is named
        assert caught.value.code == "table-column-missing"
