"""A file that is labelled keeps its columns, and what cannot be kept is refused before any work."""

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedmodels.errors import InputError
from flows.prediction import (
    Labelled,
    given_texts,
    other_rows_in_words,
    unlabelled_in_words,
    write_labels,
)


def labelled_rows(table, out):
    """The table as `--out` writes it, with a made-up label."""
    write_labels(table, [Labelled(text, "good", 0.9) for text in table.texts], out)
    with out.open(newline="") as file:
        return list(csv.reader(file))


def test_every_column_of_a_file_is_kept_in_its_place(tmp_path):
    file = tmp_path / "in.csv"
    file.write_text('id;review;note\n7;"works; great";\n8;;"two\nlines"\n')
    table = given_texts([], file, "review", whole=True)
    assert table.texts == ["works; great", ""]
    assert labelled_rows(table, tmp_path / "out.csv") == [
        ["id", "review", "note", "label", "probability"],
        ["7", "works; great", "", "good", "0.9"],
        ["8", "", "two\nlines", "good", "0.9"],
    ]


def test_columns_of_parquet_are_kept_too(tmp_path):
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"stars": [5, None], "text": ["works", None]}), file)
    table = given_texts([], file, "text", whole=True)
    assert table.texts == ["works", ""]
    assert labelled_rows(table, tmp_path / "out.csv")[1:] == [
        ["5", "works", "good", "0.9"],
        ["", "", "good", "0.9"],
    ]


def test_single_texts_stand_first_and_have_no_other_column(tmp_path):
    file = tmp_path / "in.csv"
    file.write_text("id,text\n7,works\n")
    table = given_texts(["broke"], file, "text", whole=True)
    assert labelled_rows(table, tmp_path / "out.csv")[1:] == [
        ["", "broke", "good", "0.9"],
        ["7", "works", "good", "0.9"],
    ]
    alone = given_texts(["broke"], None, "text", whole=True)
    assert labelled_rows(alone, tmp_path / "out.csv") == [
        ["text", "label", "probability"],
        ["broke", "good", "0.9"],
    ]


@pytest.mark.parametrize("name", ["label", "probability"])
def test_a_column_that_would_be_written_twice_is_refused(tmp_path, name):
    file = tmp_path / "in.csv"
    file.write_text(f"text,{name}\nworks,1\n")
    with pytest.raises(InputError) as caught:
        given_texts([], file, "text", whole=True)
    assert caught.value.code == "column-taken"
    assert str(caught.value) == (
        f"The file {file} has a column '{name}', which --out would write; rename it in the file."
    )
    assert given_texts([], file, "text", whole=False).texts == ["works"]


def test_a_column_that_csv_cannot_hold_is_refused(tmp_path):
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": ["works"], "tags": [["a", "b"]]}), file)
    with pytest.raises(InputError, match="has a column 'tags' of type list") as caught:
        given_texts([], file, "text", whole=True)
    assert caught.value.code == "table-column-type"
    assert given_texts([], file, "text", whole=False).texts == ["works"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("id,text\n", "table-empty"),
        ("id,review\n1,x\n", "table-column-missing"),
        ("text,a,a\nx,1,2\n", "table-column-repeated"),
    ],
)
def test_faults_of_the_file_are_those_of_any_table(tmp_path, content, code):
    file = tmp_path / "in.csv"
    file.write_text(content)
    with pytest.raises(InputError) as caught:
        given_texts([], file, "text", whole=True)
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["", "  ", "<br>", "&nbsp;\u200b"])
def test_a_single_text_that_cleaning_empties_is_refused(text):
    with pytest.raises(InputError, match="is empty once it is cleaned; give a text") as caught:
        given_texts(["works", text], None, "text", whole=False)
    assert caught.value.code == "text-empty"


def test_rows_of_a_file_without_text_get_an_empty_cell_and_are_counted(tmp_path):
    file = tmp_path / "in.csv"
    file.write_text("id,text\n7,works\n8,<br>\n")
    table = given_texts([], file, "text", whole=True)
    labelled = [Labelled("works", "good", 0.9), Labelled("<br>", None, None)]
    write_labels(table, labelled, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ["7,works,good,0.9", "8,<br>,,"]
    assert unlabelled_in_words(labelled) == "Of 2 rows 1 has no text after cleaning, and got no label."
    assert unlabelled_in_words(labelled[:1]) == ""


def test_other_rows_than_those_that_judged_a_run_are_told():
    scores = {"validation": {"same_rows": True}, "holdout": {"same_rows": False}}
    assert other_rows_in_words("run-1", scores) == (
        "The coordinator's rows for holdout are not those on which run-1 was judged: "
        "these scores are not to be compared with the run's own."
    )
    assert other_rows_in_words("run-1", {"holdout": {"same_rows": None}}) == ""
