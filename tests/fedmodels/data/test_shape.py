import pandas as pd
import pytest

from fedmodels.data.columns import Reading, column_batches
from fedmodels.data.shape import table_shape
from fedmodels.errors import InputError


def shape(path):
    return table_shape(path, "text", "label", table="train")


def test_a_parquet_file(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"text": ["a", "b"], "label": [0, 1]}).to_parquet(path)
    found = shape(path)
    assert found.rows == 2
    assert dict(found.columns)["label"] == "int64"
    assert [name for name, _ in found.columns] == ["text", "label"]


@pytest.mark.parametrize(
    "content",
    [
        "text,label\na,1\nb,2\n",
        'text,label\n"two\nlines",1\n\nb,2\n\n',
        'sep=;\nlabel;text\n1;a\n2;"b; c"\n',
        "\ufefftext\tlabel\r\na\t1\r\n",
        "text,label\n",
    ],
)
def test_rows_of_a_csv_are_those_that_are_read(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_text(content, newline="")
    reading = Reading(path, ("text", "label"), "The train table", InputError)
    assert shape(path).rows == sum(len(batch[0]) for batch in column_batches(reading))
    assert {name for name, _ in shape(path).columns} == {"text", "label"}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("t.csv", b"text,label\na,1,9\n", "table-damaged"),
        ("t.csv", b"words,label\na,1\n", "table-column-missing"),
        ("t.parquet", b"PAR1 and no more", "table-damaged"),
        ("t.bin", b"anything", "table-format"),
    ],
)
def test_what_is_no_table(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="The train table") as caught:
        shape(tmp_path / name)
    assert caught.value.code == code
    assert str(tmp_path) not in str(caught.value)
