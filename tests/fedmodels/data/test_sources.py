import pytest

from fedmodels.data.sources import read_rated_sentences, rows_of_groups
from fedmodels.errors import IntegrityError


def test_the_real_file(review_sentences):
    assert review_sentences.column_names == ["id", "group", "text", "label", "score"]
    assert review_sentences.num_rows == 2985
    labels = review_sentences["label"].to_pylist()
    assert labels.count("positive") / len(labels) == pytest.approx(0.586, abs=0.0005)
    groups = review_sentences["group"].to_pylist()
    assert (min(groups), max(groups)) == (1, 309)
    assert min(abs(score) for score in review_sentences["score"].to_pylist()) >= 0.5
    assert review_sentences["text"][0].as_py().startswith("troubleshooting ad-2500")


def test_everything_when_nothing_is_too_neutral(review_file):
    assert read_rated_sentences(review_file, least_sentiment=0.0).num_rows == 3708


def test_rows_of_groups(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text('1_1\t-0.9\tbad\r\n1_2\t0.1\tmeh\r\n2_1\t3\tgood, "very"\r\n')
    table = read_rated_sentences(path)
    assert table["id"].to_pylist() == ["1_1", "2_1"]
    assert rows_of_groups(table, frozenset({2})).texts == ('good, "very"',)
    assert rows_of_groups(table, frozenset({1, 2})).labels == ("negative", "positive")


@pytest.mark.parametrize("line", ["1_1\t-0.9", "1_1\tbad\t0.9", "x\t1\ttext", "1_1\t1\ttext\tmore"])
def test_a_line_of_another_form(tmp_path, line):
    path = tmp_path / "file.txt"
    path.write_text(f"1_1\t-0.9\tbad\n{line}\n")
    with pytest.raises(IntegrityError, match=r"Line 2 of file\.txt"):
        read_rated_sentences(path)
