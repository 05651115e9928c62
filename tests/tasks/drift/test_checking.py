"""A party's drift check from its tables to the signed notice: real store, real toy encoder."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest

from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import DataRefused, FedcartError, InputError
from fedmodels.protocol.drift import DriftNotice, open_notice
from flows.cli.drift import document
from infra.keys import public_key, verify
from infra.layout import drift_prefix, plan_key
from infra.role_settings import update_role_settings
from tasks.drift.artifacts import check_markdown, visible
from tasks.drift.checking import check_drift
from tasks.drift.history import read_history
from tasks.drift.noticing import leave_notice, notice_of
from tasks.drift.released import find_released, trained_hash, trained_rows
from tasks.drift.words import verdict_in_words
from tests.tasks.drift.champion import LABELS, REVIEWS, TWEETS, sentences


def joined(*tables: LabelledTexts) -> LabelledTexts:
    return LabelledTexts(
        tuple(text for rows in tables for text in rows.texts),
        tuple(label for rows in tables for label in rows.labels),
    )


@pytest.fixture
def released(champion):
    """A champion that both parties trained, and fresh rows of the same kind at the first."""
    made = champion()
    for seed, party in enumerate(("shop-a", "shop-b")):
        made.write(party, "train", sentences(REVIEWS, 400, seed))
    made.release()
    return made


def fresh(made, rows, party="shop-a"):
    made.write(party, "fresh", rows)
    return check_drift(made.desk(party))


def code_of(call, *arguments) -> str:
    with pytest.raises(FedcartError) as caught:
        call(*arguments)
    assert "camera" not in str(caught.value), "a value of a row"
    return caught.value.code


def test_rows_of_the_same_kind_have_not_drifted(released):
    check = fresh(released, sentences(REVIEWS, 150, 7, start=1000))
    assert not check.report.drifted
    assert check.lasting == ()
    assert check.rows == 150
    assert {finding.feature for finding in check.report.findings} == {
        "text",
        "label",
        "embedding",
        "loss",
        "calibration",
    }
    assert check.reference_built
    assert not check_drift(released.desk("shop-a")).reference_built


def test_rows_of_another_kind_have_and_only_lasting_drift_is_told(released):
    first = fresh(released, sentences(TWEETS, 150, 7))
    assert {"text", "embedding"} <= set(first.report.drifted_features)
    assert first.lasting == (), "two checks of two are needed"
    assert notice_of(first, None) is None
    second = fresh(released, sentences(TWEETS, 150, 8, start=500))
    assert {"text", "embedding"} <= set(second.lasting)
    notice = notice_of(second, None)
    key = leave_notice(released.desk("shop-a"), notice, 100.0, 100)
    assert leave_notice(released.desk("shop-a"), notice, 100.0, 100) == key
    assert list(released.store.list_keys(f"{drift_prefix('shop-a')}{released.recipe.name}/")) == [key]
    place = (released.recipe.name, key.rpartition("/")[2].removesuffix(".json"))
    public = public_key(released.keys["shop-a"])
    envelope = released.store.read(key)
    opened = open_notice(envelope, "shop-a", place, lambda data, signed: verify(public, data, signed))
    assert opened == notice.model_copy(update={"mark": opened.mark})
    assert (len(opened.mark), opened.drift) == (32, notice.drift)
    assert opened.model_sha256 == second.model_sha256
    assert not set(TWEETS) & set(envelope.decode().replace('"', " ").split()), "no word of a row"


def test_a_notice_tells_how_many_new_rows_have_a_label_and_anew_once_they_are_enough(champion):
    made = champion(features=["text"], needed=1, of=1)
    made.write("shop-a", "train", sentences(REVIEWS, 200, 0))
    made.release()
    tweets = sentences(TWEETS, 150, 7)
    check = fresh(made, LabelledTexts(tweets.texts, ("",) * 150))
    assert check.new_labelled == 0
    desk, counts, keys = made.desk("shop-a"), (60, 30, 0), []
    for labelled in counts:
        made.write("shop-a", "train", joined(sentences(REVIEWS, 200, 0), tweets.take(range(labelled))))
        check = check_drift(made.desk("shop-a"))
        notice = notice_of(check, None)
        assert notice.new_labelled == labelled, "labels may come with their rows in the train table"
        keys.append(leave_notice(desk, notice, 100.0, 50))
    assert keys[0] != keys[1], "30 are fewer than 50"
    assert keys[1] == keys[2], "and 0 are no news beside them"
    made.write("shop-a", "fresh", joined(tweets, tweets))
    assert check_drift(made.desk("shop-a")).new_labelled == 150, "different ones"
    flipped = dict(zip(LABELS, reversed(LABELS), strict=True))
    other = LabelledTexts(tweets.texts[:20], tuple(flipped[label] for label in tweets.labels[:20]))
    made.write("shop-a", "fresh", joined(tweets, other))
    assert check_drift(made.desk("shop-a")).new_labelled == 130, "a training leaves out what has two labels"


def test_the_same_rows_are_not_compared_twice_and_count_once(released):
    rows = sentences(TWEETS, 150, 7)
    first = fresh(released, rows)
    again = check_drift(released.desk("shop-a"))
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.report == first.report
    more = fresh(released, joined(rows, sentences(TWEETS, 20, 9, start=900)))
    assert not more.unchanged
    assert more.lasting == (), "most of its rows were in the check before"
    other = fresh(released, sentences(TWEETS, 150, 10, start=2000))
    assert "text" in other.lasting


def test_a_file_that_is_loaded_now_whole_and_now_in_part_is_looked_at_once(champion):
    made = champion(features=["text"])
    made.write("shop-a", "train", sentences(REVIEWS, 200, 0))
    made.release()
    whole = sentences(TWEETS, 200, 7)
    for _ in range(3):
        for rows in (whole, whole.take(range(80))):
            check = fresh(made, rows)
            assert check.report.drifted_features == ("text",)
            assert check.lasting == ()
    history = read_history(made.desk("shop-a"))
    assert (len(history.checks), len(history.rows)) == (6, 2)
    assert fresh(made, sentences(TWEETS, 80, 8, start=900)).lasting == ("text",)


def test_a_policy_decides_of_which_features_is_told(released):
    fresh(released, sentences(TWEETS, 150, 7))
    check = fresh(released, sentences(TWEETS, 150, 8, start=500))
    assert notice_of(check, ("text",)).features == ("text",)
    assert notice_of(check, ("label",)) is None
    assert notice_of(check, ()) is None
    shown = visible(check, ("text",))
    assert shown.lasting == ("text",)
    assert [finding.feature for finding in shown.report.findings] == ["text"]


def test_what_is_shown_and_told_holds_no_value_of_a_row(released):
    check = fresh(released, sentences(TWEETS, 150, 7))
    page = check_markdown(check)
    assert "text" in page
    assert "█" in page
    words = set(page.split()) | set(json.dumps(asdict(check)).replace('"', " ").split())
    assert not set(TWEETS) & words


def test_without_a_fresh_table_what_is_new_in_the_train_table_counts(released):
    assert code_of(check_drift, released.desk("shop-b")) == "drift-nothing-fresh"
    released.write("shop-a", "fresh", sentences(REVIEWS, 60, 1, start=1000)).unlink()
    assert code_of(check_drift, released.desk("shop-a")) == "drift-nothing-fresh", "no file yet"
    old = sentences(REVIEWS, 400, 1)
    released.write("shop-b", "train", joined(old, sentences(TWEETS, 80, 3)))
    check = check_drift(released.desk("shop-b"))
    assert check.rows == 80
    assert "text" in check.report.drifted_features


def test_rows_without_labels_are_compared_by_what_needs_none(released):
    rows = sentences(REVIEWS, 150, 7, start=1000)
    check = fresh(released, LabelledTexts(rows.texts, ("",) * 150))
    assert set(check.report.not_checked) == {"label", "loss", "calibration"}
    assert {finding.feature for finding in check.report.findings} == {"text", "embedding"}


def test_a_holdout_too_small_to_score_leaves_loss_and_calibration_out(champion):
    made = champion(min_rows=100)
    made.write("shop-a", "train", sentences(REVIEWS, 400, 0))
    made.release()
    check = fresh(made, sentences(REVIEWS, 150, 7, start=1000))
    assert {finding.feature for finding in check.report.findings} == {"text", "label", "embedding"}


def test_stock_phrases_that_recur_on_both_sides_are_no_drift(champion):
    """30 % of 3,000 rows are drawn from 400 phrases: most are met, and none of those is ever fresh."""
    made = champion(features=["text", "label"])
    phrases = [
        text.rsplit(" ", 1)[0][:18] + f" {n}" for n, text in enumerate(sentences(REVIEWS, 400, 5).texts)
    ]

    def chats(seed):
        rng = np.random.default_rng(seed)
        own = sentences(REVIEWS, 3000, seed, start=10_000 * (1 + seed))
        stock = rng.random(3000) < 0.3
        drawn = rng.choice(phrases, 3000)
        texts = tuple(str(drawn[n]) if stock[n] else text for n, text in enumerate(own.texts))
        return LabelledTexts(texts, tuple("good" if stock[n] else own.labels[n] for n in range(3000)))

    made.write("shop-a", "train", chats(0))
    made.release()
    for seed in range(1, 4):
        report = fresh(made, chats(seed)).report
        effects = {each.name: each.effect for finding in report.findings for each in finding.measures}
        assert effects["length_psi"] < 0.05
        assert effects["label_shift"] < 0.05
        assert not report.drifted


def test_a_table_that_holds_every_row_twice_has_nothing_to_compare_with(champion):
    made = champion(features=["text"])
    rows = sentences(REVIEWS, 200, 0)
    made.write("shop-a", "train", joined(rows, rows, sentences(TWEETS, 40, 1)))
    made.release()
    with pytest.raises(
        DataRefused, match="have a text that no other row has, and the tests need 50"
    ) as caught:
        fresh(made, sentences(REVIEWS, 100, 2, start=1000))
    assert caught.value.code == "drift-no-reference"


def test_a_new_champion_gets_a_new_reference_with_the_fresh_rows_in_it(released):
    fresh(released, sentences(TWEETS, 300, 7))
    first = check_drift(released.desk("shop-a"))
    released.release()
    assert code_of(check_drift, released.desk("shop-a")) == "drift-nothing-fresh"
    check = fresh(released, joined(sentences(TWEETS, 300, 7), sentences(TWEETS, 150, 8, start=700)))
    assert check.reference_built
    assert check.reference != first.reference
    assert check.rows == 150
    assert check.lasting == ()


def write_with_columns(made, name, rows, columns):
    """A table of the party shop-a with further columns, each a function of the row's number."""
    path = made.folder / "shop-a" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    lines = [
        ",".join([text, str(label), *(str(column(n)) for column in columns.values())])
        for n, (text, label) in enumerate(zip(rows.texts, rows.labels, strict=True))
    ]
    path.write_text("\n".join([",".join(["text", "label", *columns]), *lines]) + "\n")
    update_role_settings(made.home, "shop-a", {"tables": {made.recipe.name: {name: str(path)}}})


def test_further_columns_are_watched(champion):
    made = champion(columns={"price": "number", "brand": "category"}, features=["text"])

    def table(name, rows, price, brand):
        columns = {"price": lambda n: price + n % 7, "brand": lambda n: f"{brand}{n % 3}"}
        write_with_columns(made, name, rows, columns)

    table("train", sentences(REVIEWS, 300, 0), 10, "x")
    made.release()
    table("fresh", sentences(REVIEWS, 150, 7, start=1000), 10, "x")
    assert not check_drift(made.desk("shop-a")).report.drifted
    table("fresh", sentences(REVIEWS, 150, 8, start=2000), 18, "y")
    assert check_drift(made.desk("shop-a")).report.drifted_features == ("brand", "price")


def test_a_feed_that_stops_filling_a_column_is_told_beside_what_else_drifted(champion):
    kinds = {"price": "number", "brand": "category", "stock": "number"}
    made = champion(columns=kinds, features=["text"])

    def table(name, rows, price, brand, stock):
        columns = {"price": lambda n: price, "brand": lambda n: brand, "stock": stock}
        write_with_columns(made, name, rows, columns)

    table("train", sentences(REVIEWS, 300, 0), 10, "x", lambda n: n if n < 20 else "")
    made.release()
    for seed in (7, 8):
        rows = sentences(REVIEWS, 150, seed, start=1000 * seed)
        table("fresh", rows, "", "y", lambda n: n)
        check = check_drift(made.desk("shop-a"))
    assert check.lasting == ("brand", "price")
    notice = notice_of(check, None)
    assert [each.measure for each in notice.scores if each.feature == "price"] == ["missing"]
    (left_out,) = check.report.not_compared
    assert left_out.feature == "stock"
    assert re.fullmatch(
        r"Of the reference: feature stock has \d+ rows with a value, and the tests need 50\.",
        left_out.sentence,
    )
    assert verdict_in_words(check).endswith(
        "brand, price drifted in 2 of the last 2 checks; not compared: stock"
    )
    assert "\nNot compared: stock. Of the reference" in check_markdown(check)
    assert document(check)["not_compared"] == [{"feature": "stock", "sentence": left_out.sentence}]
    assert "stock" not in check_markdown(visible(check, ("price", "brand")))
    assert check_drift(made.desk("shop-a")).report == check.report, "as it is kept"


def test_a_column_that_vanishes_from_fresh_rows_is_told_and_the_next_training_takes_the_rows(champion):
    made = champion(columns={"price": "number", "brand": "category"}, features=["text"])
    both = {"price": lambda n: 10 + n % 7, "brand": lambda n: f"x{n % 3}"}
    write_with_columns(made, "train", sentences(REVIEWS, 300, 0), both)
    made.release()
    for seed in (7, 8):
        rows = sentences(REVIEWS, 150, seed, start=1000 * seed)
        write_with_columns(made, "fresh", rows, {"brand": lambda n: f"y{n % 3}"})
        check = check_drift(made.desk("shop-a"))
    assert check.lasting == ("brand", "price")
    scores = notice_of(check, None).scores
    assert [(each.measure, each.effect) for each in scores if each.feature == "price"] == [("missing", 1.0)]
    assert "psi" in [each.measure for each in scores if each.feature == "brand"]
    assert "price has drifted: missing is 1.000" in document(check)["findings"][1]["sentence"]

    made.release()  # the retraining: at this party the last fresh rows joined the others
    write_with_columns(made, "fresh", sentences(REVIEWS, 150, 9, start=9000), both)
    price = next(each for each in check_drift(made.desk("shop-a")).report.findings if each.feature == "price")
    assert {each.name for each in price.measures} >= {"missing", "psi"}


def test_one_value_that_is_no_number_holds_up_nothing_and_is_told(champion):
    kinds = {"price": "number", "brand": "category", "stock": "number", "rating": "number"}
    made = champion(columns=kinds, features=["text"])

    def table(name, rows, price, brand, stock, rating):
        columns = {"price": price, "brand": lambda _n: brand, "stock": stock, "rating": rating}
        write_with_columns(made, name, rows, columns)

    def price(n):
        return "n/a" if n == 3 else 10 + n % 7

    table("train", sentences(REVIEWS, 300, 0), price, "x", lambda n: n, lambda _n: "good")
    made.release()
    fresh_rows = sentences(REVIEWS, 150, 7, start=1000)
    table("fresh", fresh_rows, price, "y", lambda _n: "plenty", lambda _n: "bad")
    report = check_drift(made.desk("shop-a")).report
    assert report.drifted_features == ("brand", "stock")
    told = {each.feature: each.sentence for each in report.findings}
    assert told["price"].endswith(", over 149 rows; 1 of 150 values is no number.")
    assert told["stock"].endswith("; 150 of 150 values are no numbers.")
    assert "missing is 1.000" in told["stock"]
    (left_out,) = report.not_compared
    assert left_out.feature == "rating"
    assert re.fullmatch(
        r"Of the reference: all \d+ rows of feature rating lack a number\.", left_out.sentence
    )


def watching(made, **columns):
    """The recipe's file names further columns from now on."""
    section = made.recipe.drift.model_copy(update={"columns": columns})
    made.recipe = made.recipe.model_copy(update={"drift": section})


def test_a_column_that_is_named_later_is_watched_though_the_rows_have_not_changed(champion):
    made = champion(features=["text"])
    priced = {"price": lambda n: 10 + n % 7}
    write_with_columns(made, "train", sentences(REVIEWS, 300, 0), priced)
    made.release()
    write_with_columns(made, "fresh", sentences(REVIEWS, 150, 7, start=1000), {"price": lambda _n: 90})
    assert [each.feature for each in check_drift(made.desk("shop-a")).report.findings] == ["text"]
    watching(made, price="number")
    write_with_columns(made, "fresh", sentences(REVIEWS, 0, 7), priced)
    made.release()
    for start in (2000, 3000):
        rows = sentences(REVIEWS, 150, start, start=start)
        write_with_columns(made, "fresh", rows, {"price": lambda _n: 90})
        check = check_drift(made.desk("shop-a"))
    assert check.lasting == ("price",)
    assert check.report.not_compared == ()


def test_a_column_that_the_rows_were_kept_without_is_named_as_not_compared(champion):
    made = champion(features=["text"])
    made.write("shop-a", "train", sentences(REVIEWS, 300, 0))
    made.release()
    plan, version = made.store.read_version(plan_key(made.run))
    watched = json.loads(plan)
    watched["recipe"]["drift"]["columns"] = {"price": "number"}
    made.store.swap(plan_key(made.run), json.dumps(watched).encode(), version)
    made.write("shop-a", "train", sentences(REVIEWS, 300, 1))
    (left_out,) = fresh(made, sentences(REVIEWS, 100, 7, start=1000)).report.not_compared
    assert left_out.feature == "price"
    assert left_out.sentence.endswith("that the champion was trained on were kept without column price.")


def test_another_holdout_scores_the_next_champion_though_the_rows_have_not_changed(champion):
    made = champion(features=["loss"])
    made.write("shop-a", "train", sentences(REVIEWS, 200, 0))
    hashes, held = set(), []
    for seed in (1, 2):
        rows = sentences(REVIEWS, 60, seed, start=500 * seed)
        made.write("shop-a", "holdout", rows)
        made.release()
        desk = made.desk("shop-a")
        released = find_released(desk)
        data_hash = trained_hash(desk, released)
        hashes.add(data_hash)
        held.append((trained_rows(desk, released, data_hash).holdout, rows))
    assert len(hashes) == 1
    assert all(set(found.texts) == set(rows.texts) for found, rows in held)


def test_kept_rows_that_are_damaged_are_taken_from_a_table_that_is_the_same_still(released):
    rows = sentences(REVIEWS, 150, 7, start=1000)
    fresh(released, rows)
    desk = released.desk("shop-a")
    (own,) = (desk.folder / "rows").iterdir()
    (own / "columns.parquet").write_bytes(b"PAR1 and nothing more")
    assert not fresh(released, sentences(REVIEWS, 150, 8, start=2000)).report.drifted
    table = released.path("shop-a", "train")
    table.rename(table.with_name("away"))
    assert not fresh(released, sentences(REVIEWS, 150, 9, start=3000)).report.drifted, "they are whole again"


def test_a_table_without_any_watched_column_is_refused(champion):
    made = champion(columns={"price": "number"}, features=[])
    write_with_columns(made, "train", sentences(REVIEWS, 300, 0), {"price": lambda n: 10 + n % 7})
    made.release()
    write_with_columns(made, "fresh", sentences(REVIEWS, 150, 7, start=1000), {})
    with pytest.raises(DataRefused, match="none of the columns that are watched: price; hand in") as caught:
        check_drift(made.desk("shop-a"))
    assert caught.value.code == "drift-feature-missing"


def test_what_cannot_be_compared_is_refused_by_its_code(released, champion):
    fresh_rows = sentences(REVIEWS, 30, 7, start=1000)
    with pytest.raises(
        DataRefused, match="has 30 different rows that the champion was not trained on, and the tests need 50"
    ):
        fresh(released, fresh_rows)
    nobody = champion()
    nobody.write("shop-a", "train", fresh_rows)
    with pytest.raises(InputError, match="has no champion"):
        check_drift(nobody.desk("shop-a"))
    off = champion(enabled=False)
    off.write("shop-a", "train", sentences(REVIEWS, 100, 0))
    off.release()
    assert code_of(check_drift, off.desk("shop-a")) == "drift-disabled"
    absent = champion()
    absent.write("shop-a", "train", sentences(REVIEWS, 100, 0))
    absent.release()
    absent.write("shop-b", "train", sentences(REVIEWS, 100, 0))
    assert code_of(check_drift, absent.desk("shop-b")) == "drift-not-a-party"


def test_rows_that_were_not_kept_are_taken_from_a_table_that_is_the_same_still(champion):
    made = champion()
    made.write("shop-a", "train", sentences(REVIEWS, 200, 0))
    made.release(keep=False)
    assert not fresh(made, sentences(REVIEWS, 100, 7, start=1000)).report.drifted
    other = champion()
    other.write("shop-a", "train", sentences(REVIEWS, 200, 0))
    other.release(keep=False)
    other.write("shop-a", "train", sentences(REVIEWS, 200, 1))
    with pytest.raises(DataRefused, match="not kept at party shop-a, and its table has changed") as caught:
        check_drift(other.desk("shop-a"))
    assert caught.value.code == "drift-no-reference"


def test_everything_kept_is_private_and_what_is_damaged_is_made_again(released):
    first = fresh(released, sentences(TWEETS, 150, 7))
    folder = released.desk("shop-a").folder
    for inner in [folder, folder.parent, *folder.rglob("*")]:
        if inner.is_dir() and inner.name not in ("models",):
            assert inner.stat().st_mode & 0o077 == 0, inner
    (folder / "checks.json").write_text('{"checks": [{"begin": 1}]}')
    for array in (folder / "references").glob("*.npz"):
        array.write_bytes(b"garbled")
    again = check_drift(released.desk("shop-a"))
    assert again.reference_built
    assert again.reference == first.reference
    assert not again.unchanged
    assert again.report == first.report
    assert isinstance(notice_of(fresh(released, sentences(TWEETS, 150, 9, start=800)), None), DriftNotice)
