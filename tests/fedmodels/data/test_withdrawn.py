"""Rows that were taken back: known again however they come, left out as if no table held them."""

from dataclasses import replace

from fedmodels.data.fresh import read_window
from fedmodels.data.prepared import prepare_party_tables
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.withdrawn import COUNT, NOTHING, Withdrawn, keyed_name, keyed_text, keyed_texts

KEY = bytes(range(32))


def csv(path, *texts):
    path.write_text("text,label\n" + "".join(f"{text},{len(text) % 2}\n" for text in texts))
    return path


def test_a_row_is_known_again_whatever_markup_and_white_space_it_comes_with():
    withdrawn = Withdrawn(KEY, keyed_texts(["<b>so</b>  bad", ""], KEY))
    assert len(withdrawn) == 1, "an empty text is no row"
    assert withdrawn.has("so bad")
    assert not withdrawn.has("so good")
    assert withdrawn.among(["so bad", "fine"]) == {"so bad"}
    assert withdrawn.without(LabelledTexts(("so bad", "fine"), ("0", "1"))).texts == ("fine",)


def test_nobody_without_the_key_can_test_a_text():
    assert keyed_text("so bad", KEY) != keyed_text("so bad", bytes(32))
    assert not Withdrawn(bytes(32), keyed_texts(["so bad"], KEY)).has("so bad")


def test_a_set_of_rows_has_one_name_in_any_order():
    one, other = keyed_texts(["a", "b"], KEY), keyed_texts(["b", "a", " a "], KEY)
    assert keyed_name(one, KEY) == keyed_name(other, KEY) != keyed_name(keyed_texts(["a"], KEY), KEY)
    assert (NOTHING.name, len(NOTHING)) == ("", 0)
    assert "so" not in repr(Withdrawn(KEY, one))


def test_the_tables_are_prepared_as_if_none_held_them(tmp_path, own_tables):
    texts = [f"text {number}" for number in range(60)]
    whole = csv(tmp_path / "whole.csv", *texts, "gone", "gone")
    rest = csv(tmp_path / "rest.csv", *texts)
    fresh = csv(tmp_path / "fresh.csv", "new", "gone  too")
    new = csv(tmp_path / "new.csv", "new")
    withdrawn = Withdrawn(KEY, keyed_texts(["gone", "gone too"], KEY), told=True)
    left = prepare_party_tables(
        whole, None, own_tables(), ("0", "1"), seed=3, fresh=fresh, withdrawn=withdrawn
    )
    never = prepare_party_tables(rest, None, own_tables(), ("0", "1"), seed=3, fresh=new)
    assert (left.train, left.holdout, left.repeated) == (never.train, never.holdout, never.repeated)
    assert left.counts[COUNT] == 3
    untold = replace(withdrawn, told=False)
    kept_back = prepare_party_tables(
        whole, None, own_tables(), ("0", "1"), seed=3, fresh=fresh, withdrawn=untold
    )
    assert kept_back.train == left.train
    assert COUNT not in kept_back.counts


def test_a_window_of_fresh_rows_has_none_of_them(tmp_path, own_tables):
    fresh = csv(tmp_path / "fresh.csv", "new", "gone", "newer")
    withdrawn = Withdrawn(KEY, keyed_texts(["gone"], KEY))
    window = read_window(fresh, own_tables(), {}, table="fresh", withdrawn=withdrawn)
    assert window.rows.texts == ("new", "newer")
