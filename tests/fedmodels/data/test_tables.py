import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedmodels.data import columns
from fedmodels.data.columns import Reading
from fedmodels.data.frames import table_frames
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import read_table, read_text_table, read_texts, write_table
from fedmodels.errors import DataRefused, InputError

SECRET = "Jane Doe, jane@example.org"


def read(path, **options):
    return read_table(path, "text", "label", table="train", **options)


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_csv_keeps_every_string_as_it_stands(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        'id,text,label\n1,"two\nlines, ""quoted""",1.0\n2,NA,no\n\n3,,null\n', encoding="utf-8-sig"
    )
    raw = read(path)
    assert raw.texts == ('two\nlines, "quoted"', "NA", "")
    assert raw.labels == ("1.0", "no", "null")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_delimiters(tmp_path, delimiter):
    path = tmp_path / "rows.csv"
    path.write_text(
        f"label{delimiter}text\n好{delimiter}a, b; c\n".replace("a, b; c", '"a, b; c"'), encoding="utf-8"
    )
    assert read(path).texts == ("a, b; c",)
    assert read(path).labels == ("好",)


def test_parquet_by_content_whatever_its_name(tmp_path):
    path = parquet(tmp_path / "rows.data", text=["a", None], label=[1, 0], email=[SECRET, SECRET])
    assert read(path).texts == ("a", None)
    assert read(path).labels == (1, 0)


@pytest.mark.parametrize(
    "labels",
    [[1, 0], [1.0, None], ["x", "y"], [True, False], pd.Categorical(["x", "y"])],
    ids=["int", "float", "string", "bool", "categorical"],
)
def test_parquet_label_types(tmp_path, labels):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": ["a", "b"], "label": labels}).to_parquet(path)
    assert len(read(path).labels) == 2


def cut(path, share=0.6):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def text_file(path, content, encoding="utf-8"):
    path.write_text(content, encoding=encoding)
    return path


FAULTS = {
    "table-missing": lambda folder: folder / "nothing.csv",
    "table-unreadable": lambda folder: folder,
    "table-format": lambda folder: text_file(folder / "rows.xlsx", "PK"),
    "table-empty": lambda folder: text_file(folder / "rows.csv", "text,label\n"),
    "table-encoding": lambda folder: text_file(folder / "rows.csv", "text,label\ngrüße,1\n", "latin-1"),
    "table-column-missing": lambda folder: text_file(folder / "rows.csv", f"text,stars\n{SECRET!r},1\n"),
    "table-column-repeated": lambda folder: text_file(folder / "rows.csv", "text,label,text\na,1,b\n"),
    "table-text-type": lambda folder: parquet(folder / "rows.parquet", text=[1, 2], label=[1, 0]),
    "table-label-type": lambda folder: parquet(folder / "rows.parquet", text=["a", "b"], label=[[1], [0]]),
    "table-damaged": lambda folder: cut(
        parquet(folder / "rows.parquet", text=[f"text {number}" for number in range(500)], label=[1] * 500)
    ),
}


@pytest.mark.parametrize("code", FAULTS)
def test_each_fault_is_one_sentence_with_its_code(tmp_path, code):
    with pytest.raises(InputError) as caught:
        read(FAULTS[code](tmp_path))
    assert caught.value.code == code
    assert str(caught.value).startswith("The train table ")
    assert str(tmp_path) not in str(caught.value)
    assert "Jane" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "content",
    [
        "text,label\ngood,1\nba",
        'text,label\ngood,1\n"bad, an',
        "text,label\ngood,1\nbad,0,more\n",
        "text,label\na,\x00,1\n",
    ],
    ids=["row cut", "quote open", "field too many", "binary"],
)
def test_a_csv_cut_short_is_noticed(tmp_path, content):
    with pytest.raises(InputError) as caught:
        read(text_file(tmp_path / "rows.csv", content))
    assert caught.value.code == "table-damaged"


@pytest.mark.parametrize("quote", ["", '"'], ids=["long", "unclosed"])
@pytest.mark.parametrize(("before", "row"), [("text,label\ngood,1\n", 1), ("", 0)])
def test_a_text_beyond_the_bound_is_said_to_be_too_long(tmp_path, monkeypatch, quote, before, row):
    monkeypatch.setattr(columns, "_LONGEST_FIELD", 300_000)  # above what the csv module allows by itself
    content = before + quote + "a" * 300_001 + ",label\n"
    with pytest.raises(
        InputError, match=f"has a text of more than 300000 characters after row {row};"
    ) as caught:
        read(text_file(tmp_path / "rows.csv", content))
    assert caught.value.code == "table-text-too-long"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_parquet_cut_anywhere_is_noticed(tmp_path, share):
    path = parquet(
        tmp_path / "rows.parquet", text=[f"text {number}" for number in range(500)], label=[1] * 500
    )
    with pytest.raises(InputError, match="damaged or cut short"):
        read(cut(path, share))


def test_parquet_without_the_column(tmp_path):
    path = parquet(tmp_path / "rows.parquet", text=["a"], stars=[1])
    with pytest.raises(DataRefused, match="has no column 'label' among its 2 columns;") as caught:
        read(path, error=DataRefused)
    assert "stars" not in str(caught.value), "a party's own columns stay with it"
    with pytest.raises(InputError, match="has no column 'label'; name one that it has: 'text', 'stars'"):
        read(path)


@pytest.mark.parametrize("line", ["sep=;", "SEP=|", '"sep=;"', "sep=\t", "sep=,"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_the_line_with_which_excel_is_told_the_separator(tmp_path, line, start):
    separator = line.strip('"')[-1]
    rows = [line, f"text{separator}label", f'"a{separator} b"{separator}1', f"c{separator}2"]
    path = text_file(tmp_path / "rows.csv", start + "\r\n".join(rows) + "\r\n")
    raw = read(path)
    assert (raw.texts, raw.labels) == ((f"a{separator} b", "c"), ("1", "2"))
    frames = list(table_frames(Reading(path, ("text", "label"), "It", InputError), 10))
    assert [list(frame.columns) for frame in frames] == [["text", "label"]]
    assert frames[0].values.tolist() == [[f"a{separator} b", 1], ["c", 2]]
    table = read_text_table(path, "text")
    assert (table.columns, table.texts) == (("text", "label"), [f"a{separator} b", "c"])


def test_a_separator_that_is_told_is_believed(tmp_path):
    path = text_file(tmp_path / "rows.csv", "sep=;\ntext,label\na,1\n")
    with pytest.raises(InputError, match="has no column 'text'; name one that it has: 'text,label'"):
        read(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_header_with_a_line_break_in_quotes(tmp_path, separator):
    header = separator.join(('"stars\nof five"', "text", "label"))
    path = text_file(tmp_path / "rows.csv", f"{header}\n" + separator.join(("5", "good", "1")) + "\n")
    assert read(path).texts == ("good",)
    (frame,) = table_frames(Reading(path, ("text", "label"), "It", InputError), 10)
    assert list(frame.columns) == ["stars\nof five", "text", "label"]
    with pytest.raises(
        InputError, match=r"name one that it has with --column: 'stars\\nof five', 'text', 'label'"
    ):
        read_texts(path, "review")


def test_of_a_table_without_a_header_little_is_shown(tmp_path):
    with pytest.raises(InputError) as caught:
        read(text_file(tmp_path / "rows.csv", "word " * 50 + ",1\n"))
    assert str(caught.value).endswith(
        "name one that it has: 'word word word word word word word word …', '1'."
    )


def test_a_party_gets_its_own_class_of_error(tmp_path):
    with pytest.raises(DataRefused) as caught:
        read(tmp_path / "nothing.csv", error=DataRefused)
    assert caught.value.code == "table-missing"


def test_written_tables_have_a_schema_and_equal_rows_equal_bytes(tmp_path):
    rows = LabelledTexts(("b", "a"), ("1", "0"))
    for name in ("one", "two"):
        write_table(rows, tmp_path / "deep" / f"{name}.parquet")
    one, two = tmp_path / "deep" / "one.parquet", tmp_path / "deep" / "two.parquet"
    assert one.read_bytes() == two.read_bytes()
    assert pq.read_schema(one).equals(
        pa.schema(
            [pa.field("text", pa.string(), nullable=False), pa.field("label", pa.string(), nullable=False)]
        )
    )
    assert pq.ParquetFile(one).metadata.row_group(0).column(0).compression == "ZSTD"
    assert read(one).texts == rows.texts
    assert sorted(path.name for path in one.parent.iterdir()) == ["one.parquet", "two.parquet"]
    assert one.stat().st_mode & 0o077 == 0


def test_a_failed_write_leaves_the_old_table(tmp_path):
    path = tmp_path / "rows.parquet"
    write_table(LabelledTexts(("a",), ("1",)), path)
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_table(LabelledTexts(("\ud800",), ("1",)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_texts_alone(tmp_path):
    path = text_file(tmp_path / "in.csv", "review,stars\ngood,5\n,1\n")
    assert read_texts(path, "review") == ["good", ""]
    with pytest.raises(
        InputError, match=r"no column 'text'; name one that it has with --column: 'review', 'stars'\."
    ):
        read_texts(path, "text")


def test_a_file_that_a_person_named_is_named_and_a_comma_too_many_explained(tmp_path):
    path = text_file(tmp_path / "new.csv", "text\nbroke, after a week\n")
    with pytest.raises(InputError, match=r"new\.csv has 2 fields in row 1 .* double quotes"):
        read_texts(path, "text")
